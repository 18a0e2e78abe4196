"use strict";
(() => {
  const form = document.querySelector(".filters");
  const dialog = document.querySelector(".keys");
  const patients = [...document.querySelectorAll(".patient")];
  const folds = [...document.querySelectorAll("details.patient, details.change, details.quiet, details.missing")];
  let here = -1;

  const shown = () => patients.filter((one) => !one.hasAttribute("data-off"));

  function mark(element) {
    patients.forEach((one) => one.classList.toggle("here", one === element));
    const quiet = element.closest("details.quiet");
    if (quiet) quiet.open = true;
    const target = element.querySelector(":scope > summary") || element;
    if (target === element) element.tabIndex = -1;
    target.focus({ preventScroll: true });
    element.scrollIntoView({ block: "start" });
  }

  function move(by) {
    const all = shown();
    if (!all.length) return;
    const current = all.indexOf(patients[here]);
    const next = current < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(current + by, 0), all.length - 1);
    here = patients.indexOf(all[next]);
    mark(all[next]);
  }

  function fold(open) {
    folds.forEach((one) => { one.open = open; });
  }

  function off(element, hidden) {
    element.toggleAttribute("data-off", hidden);
  }

  function filter() {
    const severities = new Set([...form.querySelectorAll("[name=severity]:checked")].map((box) => box.value));
    const all = form.querySelectorAll("[name=severity]").length;
    const kind = form.elements.kind.value;
    const text = form.elements.text.value.trim().toLowerCase();
    for (const one of patients) {
      const fits = (severities.size === all || severities.has(one.dataset.severity))
        && (!kind || one.dataset.kinds.split(" ").includes(kind))
        && (!text || one.dataset.text.includes(text));
      off(one, !fits);
      for (const change of one.querySelectorAll("details.change")) {
        off(change, Boolean(kind) && change.dataset.kinds !== kind);
      }
    }
    for (const quiet of document.querySelectorAll("details.quiet")) {
      off(quiet, ![...quiet.querySelectorAll(".patient")].some((one) => !one.hasAttribute("data-off")));
      if (text) quiet.open = true;
    }
    const number = shown().length;
    form.querySelector(".shown").textContent = number === patients.length
      ? `${number} patient${number === 1 ? "" : "s"}`
      : `${number} of ${patients.length} patients`;
  }

  function open(hash) {
    const element = hash.length > 1 && document.getElementById(hash.slice(1));
    if (!element) return;
    for (let one = element; one; one = one.parentElement) {
      if (one.tagName === "DETAILS") one.open = true;
    }
    element.querySelectorAll("details.missing").forEach((one) => { one.open = true; });
    element.scrollIntoView({ block: "start" });
  }

  if (form) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", filter);
    form.elements.open.addEventListener("click", () => fold(true));
    form.elements.close.addEventListener("click", () => fold(false));
    form.elements.help.addEventListener("click", () => dialog.showModal());
    filter();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    const writing = event.target.matches("input[type=search], select");
    if (event.key === "Escape" && writing) {
      event.target.blur();
      return;
    }
    if (writing) return;
    const actions = {
      j: () => move(1),
      k: () => move(-1),
      o: () => { const one = patients[here]; if (one && one.tagName === "DETAILS") one.open = !one.open; },
      "/": () => { if (form) form.elements.text.focus(); },
      "?": () => dialog.showModal(),
    };
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });

  let before = null;
  window.addEventListener("beforeprint", () => {
    before = folds.map((one) => one.open);
    fold(true);
  });
  window.addEventListener("afterprint", () => {
    if (before) folds.forEach((one, place) => { one.open = before[place]; });
    before = null;
  });
  window.addEventListener("hashchange", () => open(location.hash));
  open(location.hash);
})();
