"use strict";
// The editor: line numbers, places that diagnostics name, and words to insert. Pages work without.

(() => {
  const text = document.getElementById("text");
  if (!text) return;
  const form = document.getElementById("editor");
  const gutter = document.querySelector(".gutter");
  const state = document.getElementById("state");
  const first = text.value;
  let lines = 0;
  let edited = false;

  function number() {
    const count = text.value.split("\n").length;
    if (count !== lines) {
      lines = count;
      gutter.textContent = Array.from({ length: count }, (_, at) => at + 1).join("\n");
    }
    gutter.scrollTop = text.scrollTop;
    if (state && (text.value !== first || edited)) {
      edited = true;
      state.textContent = text.value === first ? "" : "not saved";
    }
  }

  // The server counts characters as Python does, a browser counts UTF-16 units.
  const characters = (value) => Array.from(value).length;
  const units = (line, count) => Array.from(line).slice(0, count).join("").length;

  function select(line, column, length) {
    const rows = text.value.split("\n");
    const before = rows.slice(0, line - 1).reduce((sum, row) => sum + row.length + 1, 0);
    const row = rows[line - 1] ?? "";
    const start = before + units(row, column - 1);
    text.focus();
    text.setSelectionRange(start, Math.max(start, before + units(row, column - 1 + length)));
    const height = parseFloat(getComputedStyle(text).lineHeight);
    text.scrollTop = Math.max(0, (line - 4) * height);
  }

  function insert(word) {
    text.focus();
    const end = text.selectionEnd;
    const begun = /[\w.-]*$/.exec(text.value.slice(0, end))[0];
    text.setRangeText(word, end - begun.length, end, "end");
    text.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function place() {
    form.elements.place.value = characters(text.value.slice(0, text.selectionEnd));
  }

  document.addEventListener("click", (event) => {
    const at = event.target.closest("button.place");
    if (at) select(+at.dataset.line, +at.dataset.column, +at.dataset.length);
    const word = event.target.closest("button.insert");
    if (word) insert(word.dataset.insert);
  });
  text.addEventListener("input", () => { place(); number(); });
  text.addEventListener("scroll", () => { gutter.scrollTop = text.scrollTop; });
  for (const name of ["keyup", "click"]) {
    text.addEventListener(name, () => {
      const old = form.elements.place.value;
      place();
      if (old !== form.elements.place.value) text.dispatchEvent(new Event("place"));
    });
  }
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || text.readOnly) return;
    const row = text.value.slice(0, text.selectionStart).split("\n").pop();
    event.preventDefault();
    text.setRangeText("\n" + /^ */.exec(row)[0], text.selectionStart, text.selectionEnd, "end");
    text.dispatchEvent(new Event("input", { bubbles: true }));
  });
  let sent = false;
  form.addEventListener("submit", () => { sent = true; });
  window.addEventListener("beforeunload", (event) => {
    if (state && !sent && text.value !== first) event.preventDefault();
  });
  number();
})();
