/* What is chosen in a filter with a type-ahead is shown at once. Without this file its button shows it. */
(function ($) {
  "use strict";

  $(document).on("select2:select select2:clear", ".pc-choose select", function () {
    var form = this.form;
    this.disabled = !this.value;
    window.setTimeout(function () { form.submit(); }, 0);
  });
  $(function () { $(".pc-choose .pc-btn").remove(); });
})(window.django.jQuery);
