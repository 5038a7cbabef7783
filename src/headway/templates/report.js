"use strict";
// The browser of examples: filters that hide rows. Without this script the first rows stand there all the same.
(() => {
  const form = document.querySelector(".filters");
  if (!form) return;
  const list = document.querySelector(".examples");
  const rows = [...list.children];
  const more = document.getElementById("more");
  const count = document.getElementById("count");
  const atOnce = Number(list.dataset.atOnce);
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const has = (numbers, wanted) => !wanted || numbers.split(" ").includes(wanted);
  const isOf = (row, state) => !state || row.className === state || (state === "wrong" && row.className === "suspect");
  const value = (name) => (form.elements[name] ? form.elements[name].value : "");
  let shown = atOnce;
  let only = null; // the link of a number in the table of confusions, whose examples alone are wanted

  function show() {
    const wanted = { state: value("state"), gold: value("gold"), said: value("said"), text: value("text").toLowerCase() };
    const fitting = rows.filter(
      (row) =>
        (!only || has(row.dataset.pairs, only.dataset.pair)) &&
        isOf(row, wanted.state) &&
        has(row.dataset.gold, wanted.gold) &&
        has(row.dataset.said, wanted.said) &&
        (!wanted.text || texts.get(row).includes(wanted.text)),
    );
    const ordered = value("order") ? fitting.reverse() : fitting;
    for (const row of rows) row.hidden = true;
    for (const row of ordered.slice(0, shown)) row.hidden = false;
    list.append(...ordered);
    const there = Math.min(shown, ordered.length);
    const kind = only ? `: ${only.dataset.says}` : "";
    count.textContent = ordered.length ? `${there.toLocaleString("en")} of ${ordered.length.toLocaleString("en")} shown${kind}` : "None fits.";
    more.hidden = there === ordered.length;
    return ordered;
  }

  function again() {
    shown = atOnce;
    show();
  }

  form.addEventListener("input", () => {
    only = null;
    again();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    only = null;
    setTimeout(again);
  });
  more.addEventListener("click", () => {
    const first = shown;
    shown += 2 * atOnce;
    const next = show()[first];
    next.tabIndex = -1;
    next.focus({ preventScroll: true });
  });
  for (const link of document.querySelectorAll("a[data-pair]")) {
    link.addEventListener("click", () => {
      form.reset();
      form.elements.state.value = "";
      only = link;
      again();
    });
  }
  form.hidden = false;
  again();
})();
