/* The application page: a step is saved without losing what stands in the others. The page also works without this. */
(function () {
  "use strict";

  var root = document.getElementById("ob");
  if (!root || !window.fetch || !window.DOMParser) { return; }
  root.classList.add("live");
  var dirty = new Set();
  var POLL_MS = 1500;

  function dirtyForms(element) {
    return Array.prototype.filter.call(element.querySelectorAll("form[data-part]"), function (form) {
      return dirty.has(form.getAttribute("action"));
    });
  }

  // The frame's own script looks for a text box beside each file box; there is none here.
  function keepFrameOff(part) {
    part.querySelectorAll("input[type=file]").forEach(function (box) { box.hasChangeListener = true; });
  }

  function put(fresh, id) {
    var present = document.getElementById(id), wanted = fresh.getElementById(id);
    if (!present || !wanted) { return null; }
    var placed = document.importNode(wanted, true);
    keepFrameOff(placed);
    present.replaceWith(placed);
    placed.dispatchEvent(new CustomEvent("pc:drawn", { bubbles: true }));
    return placed;
  }

  // Takes the answer's parts over; what somebody is still typing elsewhere stays as it is.
  function take(fresh, sent) {
    ["ob-head", "ob-top", "ob-nav", "ob-history"].forEach(function (id) { put(fresh, id); });
    document.querySelectorAll(".ob-step").forEach(function (step) {
      var mine = Boolean(sent) && step.contains(sent);
      if (!mine && dirtyForms(step).length) { put(fresh, "head-" + step.id.slice(5)); return; }
      takeStep(fresh, step, mine ? sent : null);
    });
  }

  function takeStep(fresh, step, sent) {
    var typing = dirtyForms(step).filter(function (form) { return form !== sent; }).map(function (form) {
      return form.closest(".ob-account, .ob-document");
    });
    var opened = Array.prototype.map.call(step.querySelectorAll(".ob-params[open]"), function (part) {
      return part.closest(".ob-account").id;
    });
    var placed = put(fresh, step.id);
    if (!placed) { return; }
    if (sent) { giveBack(sent, placed); } else { placed.open = step.open; }
    opened.forEach(function (id) {
      var account = document.getElementById(id);
      if (account && !sent) { account.querySelector(".ob-params").open = true; }
    });
    typing.filter(Boolean).forEach(function (kept) {
      var twin = document.getElementById(kept.id);
      if (twin) { twin.replaceWith(kept); }
    });
  }

  // What no server sends back: chosen files and passwords, where the form was not stored.
  function giveBack(sent, placed) {
    var form = placed.querySelector("form[data-part][action='" + sent.getAttribute("action") + "']");
    if (!form || !form.querySelector("[data-failed], [aria-invalid]")) { return; }
    sent.querySelectorAll("input[type=password], input[type=file]").forEach(function (box) {
      var twin = form.querySelector("[name='" + box.name + "']");
      if (twin && box.type === "file" && box.files.length) { twin.files = box.files; }
      if (twin && box.type === "password") { twin.value = box.value; }
    });
  }

  function complain(form, key) {
    var note = form.querySelector("[data-complaint]") || document.createElement("div");
    note.className = "pc-note bad";
    note.setAttribute("role", "alert");
    note.setAttribute("data-complaint", "");
    note.textContent = root.dataset[key];
    form.prepend(note);
    wakeButtons(form);
  }

  function wakeButtons(form) {
    form.querySelectorAll("[data-busy]").forEach(function (button) {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    });
  }

  function show(url, sent) {
    var at = new URL(url, location.href).searchParams.get("at");
    var step = at && document.getElementById("step-" + at);
    step = step || document.querySelector("#ob-top [role=alert]") || document.getElementById(sent);
    if (!step) { return; }
    if (step.tagName === "DETAILS") { step.open = true; }
    (step.querySelector("[data-failed], [aria-invalid], [role=alert]") || step).scrollIntoView({ block: "start" });
  }

  function send(form, button) {
    var body = new FormData(form);
    if (button && button.name) { body.append(button.name, button.value); }
    fetch(form.action, { method: "POST", body: body, credentials: "same-origin" }).then(function (answer) {
      return answer.text().then(function (text) { return { url: answer.url, text: text }; });
    }).then(function (answer) {
      var fresh = new DOMParser().parseFromString(answer.text, "text/html");
      if (!fresh.getElementById("ob")) { complain(form, "signedOut"); return; }
      dirty.delete(form.getAttribute("action"));
      take(fresh, form);
      show(answer.url, form.getAttribute("data-part"));
      poll();
    }).catch(function () { complain(form, "offline"); });
  }

  document.addEventListener("input", function (event) {
    var form = event.target.closest("form[data-part]");
    if (form) { dirty.add(form.getAttribute("action")); }
  });

  document.addEventListener("submit", function (event) {
    var form = event.target.closest("form[data-part]");
    if (!form) { return; }
    event.preventDefault();
    var sure = event.submitter && event.submitter.getAttribute("data-sure");
    if (sure && !window.confirm(sure)) { window.setTimeout(wakeButtons, 0, form); return; }
    send(form, event.submitter);
  });

  document.addEventListener("change", function (event) {
    if (event.target.matches("[data-send-at-once]") && event.target.files.length) { event.target.form.requestSubmit(); }
  });

  document.addEventListener("click", function (event) {
    var link = event.target.closest("[data-step-link]");
    if (!link) { return; }
    var step = document.getElementById("step-" + link.getAttribute("data-step-link"));
    var target = document.getElementById(link.getAttribute("href").slice(1));
    if (!step) { return; }
    event.preventDefault();
    step.open = true;
    var inside = target && target.querySelector(".ob-params");
    if (inside) { inside.open = true; }
    (target || step).scrollIntoView({ block: "start", behavior: "smooth" });
    if (target && target.matches("input, select, textarea")) { target.focus({ preventScroll: true }); }
  });

  window.addEventListener("beforeunload", function (event) {
    if (dirty.size) { event.preventDefault(); event.returnValue = root.dataset.leave; }
  });

  // ---- connection checks ------------------------------------------------------------------
  var timer = null;

  function poll() {
    window.clearTimeout(timer);
    if (!document.querySelector("[data-running]")) { return; }
    timer = window.setTimeout(function () {
      fetch(root.dataset.checks, { credentials: "same-origin" }).then(function (answer) { return answer.json(); })
        .then(told).catch(poll);
    }, POLL_MS);
  }

  function told(states) {
    var ended = false;
    document.querySelectorAll("[data-check][data-running]").forEach(function (note) {
      var state = states[note.getAttribute("data-check")];
      if (!state) { return; }
      note.querySelector("[data-check-text]").textContent = state.text;
      ended = ended || !state.running;
    });
    if (!ended) { poll(); return; }
    fetch(location.pathname, { credentials: "same-origin" }).then(function (answer) { return answer.text(); })
      .then(function (text) { take(new DOMParser().parseFromString(text, "text/html"), null); poll(); }).catch(poll);
  }

  // A link into the page opens the step it leads to.
  function follow() {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    var step = target && target.closest(".ob-step");
    if (step) { step.open = true; target.scrollIntoView({ block: "start" }); }
  }

  keepFrameOff(root);
  follow();
  poll();
})();
