/* What is chosen in a filter with a type-ahead is shown at once. Without this file its button shows it. */
(function ($) {
  "use strict";

  $(document).on("select2:select select2:clear", ".pc-choose select", function () {
    var form = this.form;
    window.setTimeout(function () { form.submit(); }, 0);
  });
})(window.django.jQuery);
