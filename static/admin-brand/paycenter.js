/* Small behaviours of our own admin pages. Every page also works without this file. */
(function () {
  "use strict";

  function copy(button) {
    var text = button.getAttribute("data-copy");
    var done = function () {
      var icon = button.querySelector("span");
      icon.textContent = "check";
      window.setTimeout(function () { icon.textContent = "content_copy"; }, 1200);
    };
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text).then(done);
      return;
    }
    var area = document.createElement("textarea");
    area.value = text;
    document.body.appendChild(area);
    area.select();
    if (document.execCommand("copy")) { done(); }
    area.remove();
  }

  function conditions(form) {
    var rows = form.querySelectorAll("[data-when]");
    function value(name) {
      var field = form.elements[name];
      if (!field) { return null; }
      return field.value === undefined ? null : field.value;
    }
    function refresh() {
      rows.forEach(function (row) {
        var when = JSON.parse(row.getAttribute("data-when"));
        row.hidden = !Object.keys(when).every(function (name) {
          return when[name].indexOf(value("config-" + name)) !== -1;
        });
      });
      form.querySelectorAll("[data-group]").forEach(function (group) {
        var inside = Array.prototype.slice.call(group.querySelectorAll("[data-when]"));
        group.hidden = inside.length > 0 && inside.length === group.querySelectorAll(".pc-field").length &&
          inside.every(function (row) { return row.hidden; });
      });
    }
    form.addEventListener("change", refresh);
    refresh();
  }

  function sortable(list) {
    function number() {
      list.querySelectorAll("li").forEach(function (row, index) {
        row.querySelector("input.pos").value = index + 1;
      });
    }
    var held = null;
    list.querySelectorAll("li").forEach(function (row) {
      row.draggable = true;
      row.addEventListener("dragstart", function () { held = row; });
      row.addEventListener("dragover", function (event) {
        event.preventDefault();
        if (!held || held === row) { return; }
        var box = row.getBoundingClientRect();
        list.insertBefore(held, event.clientY > box.top + box.height / 2 ? row.nextSibling : row);
      });
      row.addEventListener("dragend", function () { held = null; number(); });
    });
    list.addEventListener("click", function (event) {
      var button = event.target.closest("[data-move]");
      if (!button) { return; }
      var row = button.closest("li");
      if (button.getAttribute("data-move") === "up" && row.previousElementSibling) {
        list.insertBefore(row, row.previousElementSibling);
      } else if (button.getAttribute("data-move") === "down" && row.nextElementSibling) {
        list.insertBefore(row.nextElementSibling, row);
      }
      number();
      button.focus();
    });
  }

  document.addEventListener("click", function (event) {
    var copier = event.target.closest("[data-copy]");
    if (copier) { event.preventDefault(); copy(copier); return; }
    var opener = event.target.closest("[data-dialog]");
    if (opener) {
      var dialog = document.getElementById(opener.getAttribute("data-dialog"));
      if (dialog && dialog.showModal) { event.preventDefault(); dialog.showModal(); }
      return;
    }
    var closer = event.target.closest("[data-close]");
    if (closer) { event.preventDefault(); closer.closest("dialog").close(); }
  });

  document.addEventListener("submit", function (event) {
    var busy = event.target.querySelector("[data-busy]");
    if (busy) { busy.setAttribute("aria-busy", "true"); busy.disabled = true; }
  });

  // What scrolls sideways on this screen is reached by the keyboard, too.
  function reachable() {
    document.querySelectorAll(".pc-table-wrap:not([role])").forEach(function (wrap) {
      if (wrap.scrollWidth > wrap.clientWidth) { wrap.tabIndex = 0; } else { wrap.removeAttribute("tabindex"); }
    });
  }
  window.addEventListener("resize", reachable);

  function draw(root) {
    reachable();
    root.querySelectorAll("form[data-conditions]").forEach(conditions);
    root.querySelectorAll("[data-sortable]").forEach(sortable);
  }

  document.addEventListener("DOMContentLoaded", function () { draw(document); });
  // Parts of a page that were put in later.
  document.addEventListener("pc:drawn", function (event) { draw(event.target); });
})();
