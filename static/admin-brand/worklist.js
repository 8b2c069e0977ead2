/* Keys on the refund pages: j/k (or the arrows on a row's box) move, x selects, o opens, the letters on the
   buttons press them. Everything is also reached with Tab. */
(function () {
  "use strict";

  function typing(target) {
    return target.closest("textarea, select, [contenteditable], dialog[open]") !== null ||
      (target.tagName === "INPUT" && target.type !== "checkbox");
  }

  function boxes() { return Array.prototype.slice.call(document.querySelectorAll("[data-pick]")); }

  function chosen() { return boxes().filter(function (box) { return box.checked; }); }

  function refresh(bar) {
    var picked = chosen();
    var count = bar.querySelector("[data-bulk-count]");
    count.textContent = picked.length
      ? count.getAttribute("data-some") + " " + picked.length
      : count.getAttribute("data-none");
    bar.querySelectorAll("[data-bulk-open]").forEach(function (button) { button.disabled = !picked.length; });
    boxes().forEach(function (box) { box.closest("tr").classList.toggle("pc-picked", box.checked); });
  }

  function open(bar, button) {
    var dialog = document.getElementById(button.getAttribute("data-bulk-open"));
    var place = dialog.querySelector("[data-chosen]");
    place.textContent = "";
    var amounts = chosen().map(function (box) {
      var field = document.createElement("input");
      field.type = "hidden";
      field.name = "refund";
      field.value = box.value;
      place.appendChild(field);
      return box.getAttribute("data-amount");
    });
    dialog.querySelector("[data-chosen-text]").textContent = bar.querySelector("[data-bulk-count]").textContent + " · " + amounts.join(" · ");
    dialog.showModal();
    dialog.querySelector("textarea").focus();
  }

  function move(step) {
    var all = boxes();
    if (!all.length) { return; }
    var at = all.indexOf(document.activeElement);
    var next = at === -1 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    all[next].focus();
    all[next].closest("tr").scrollIntoView({ block: "nearest" });
  }

  function press(key) {
    var button = document.querySelector("[data-key='" + key + "']");
    if (!button) { return false; }
    var bar = button.closest("[data-bulk]");
    if (bar && !chosen().length && document.activeElement.matches("[data-pick]")) {
      document.activeElement.checked = true;
      refresh(bar);
    }
    if (!button.disabled) { button.click(); }
    return true;
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) { return; }
    var box = event.target.matches("[data-pick]") ? event.target : null;
    var done = true;
    switch (event.key) {
      case "j": move(1); break;
      case "k": move(-1); break;
      case "ArrowDown": if (box) { move(1); } else { done = false; } break;
      case "ArrowUp": if (box) { move(-1); } else { done = false; } break;
      case "x": if (box) { box.click(); } else { done = false; } break;
      case "o": if (box) { box.closest("tr").querySelector(".pc-row-link").click(); } else { done = false; } break;
      default: done = /^[a-z]$/.test(event.key) && press(event.key);
    }
    if (done) { event.preventDefault(); }
  }

  document.addEventListener("DOMContentLoaded", function () {
    var bar = document.querySelector("[data-bulk]");
    document.addEventListener("keydown", onKey);
    if (!bar) { return; }
    bar.hidden = false;
    document.addEventListener("change", function (event) {
      if (event.target.matches("[data-pick]")) { refresh(bar); }
    });
    bar.addEventListener("click", function (event) {
      var opener = event.target.closest("[data-bulk-open]");
      if (opener) { open(bar, opener); return; }
      if (event.target.closest("[data-pick-all]")) {
        var every = boxes().every(function (box) { return box.checked; });
        boxes().forEach(function (box) { box.checked = !every; });
        refresh(bar);
      }
    });
    refresh(bar);
  });
})();
