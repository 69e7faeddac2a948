"use strict";
// Searches and shows rows that are in the page, compressed. Text goes in as text, never as HTML.
(() => {
  const SIZE = 10;

  async function rowsOf(element) {
    const raw = atob(element.textContent.trim());
    const bytes = Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  function put(parent, tag, text, name) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return parent.appendChild(made);
  }

  function putFound(parent, text, word) {
    if (!word) return parent.append(text);
    const lower = text.toLowerCase();
    if (lower.length !== text.length) return parent.append(text);
    let from = 0;
    for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, from)) {
      parent.append(text.slice(from, at));
      put(parent, "mark", text.slice(at, at + word.length));
      from = at + word.length;
    }
    parent.append(text.slice(from));
  }

  function item(row, labels, word) {
    const [id, marks, texts] = row;
    const made = document.createElement("li");
    made.className = "item";
    const head = put(made, "p", undefined, "item-head");
    putFound(put(head, "code"), id, word);
    for (const mark of marks) put(head, "span", mark, "mark");
    const list = put(made, "dl");
    texts.forEach((text, index) => {
      if (!text) return;
      const pair = put(list, "div");
      put(pair, "dt", labels[index]);
      putFound(put(pair, "dd"), text, word);
    });
    return made;
  }

  async function start(root) {
    const data = await rowsOf(document.getElementById(root.dataset.rows));
    const tools = root.querySelector(".tools");
    const [search, select] = [tools.querySelector("input"), tools.querySelector("select")];
    const [back, on] = [tools.querySelector(".back"), tools.querySelector(".on")];
    const [status, list] = [root.querySelector(".status"), root.querySelector(".items")];
    const texts = data.rows.map(([id, marks, parts]) => [id, ...parts].join("\n").toLowerCase());
    let found = [];
    let page = 0;

    function show() {
      const pages = Math.max(1, Math.ceil(found.length / SIZE));
      page = Math.min(Math.max(page, 0), pages - 1);
      const word = search.value.trim().toLowerCase();
      const shown = found.slice(page * SIZE, (page + 1) * SIZE);
      list.replaceChildren(...shown.map((at) => item(data.rows[at], data.labels, word)));
      back.disabled = page === 0;
      on.disabled = page === pages - 1;
      const count = (number) => number.toLocaleString("en");
      status.textContent = `${count(found.length)} of ${count(data.rows.length)} rows, ` +
        `page ${count(page + 1)} of ${count(pages)}`;
    }

    let waiting;

    function find() {
      clearTimeout(waiting);
      const word = search.value.trim().toLowerCase();
      found = [];
      for (let at = 0; at < data.rows.length; at += 1) {
        if (select.value && !data.rows[at][1].includes(select.value)) continue;
        if (!word || texts[at].includes(word)) found.push(at);
      }
      page = 0;
      show();
    }

    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(find, 120);
    });
    select.addEventListener("change", find);
    tools.addEventListener("submit", (event) => { event.preventDefault(); find(); });
    back.addEventListener("click", () => { page -= 1; show(); });
    on.addEventListener("click", () => { page += 1; show(); });
    tools.hidden = false;
    find();
  }

  for (const root of document.querySelectorAll(".browse")) {
    start(root).catch(() => {
      root.querySelector(".status").textContent =
        "This browser cannot search the rows; the first ones are below.";
    });
  }
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
})();
