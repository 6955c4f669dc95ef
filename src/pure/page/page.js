"use strict";
const rows = [...document.querySelectorAll(".all tbody tr")];
const box = document.querySelector(".filter");
if (box) {
  const [words, state, project] = box.querySelectorAll("input,select");
  const count = box.querySelector("output");
  const texts = new Map();
  const text = row => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };
  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const is = (!state.value || row.cells[1].lastChild.data === state.value)
        && (!project.value || row.cells[2].textContent === project.value)
        && wanted.every(word => text(row).includes(word));
      row.hidden = !is;
      shown += is;
    }
    count.textContent = `${shown} of ${rows.length} shown`;
  };
  let timer;
  const soon = () => { clearTimeout(timer); timer = setTimeout(apply, 120); };
  words.addEventListener("input", soon);
  state.addEventListener("change", apply);
  project.addEventListener("change", apply);
  box.hidden = false;
}
document.addEventListener("click", event => {
  const bar = event.target.closest("[data-row]");
  const row = bar && document.getElementById(bar.dataset.row);
  if (!row) return;
  row.hidden = false;
  const story = row.querySelector("details");
  story.open = true;
  story.scrollIntoView({ block: "center" });
  story.querySelector("summary").focus({ preventScroll: true });
});
document.addEventListener("mouseover", event => {
  const bar = event.target.closest("[data-row]");
  const row = bar && !bar.firstChild && document.getElementById(bar.dataset.row);
  if (!row) return;
  const title = document.createElementNS(bar.namespaceURI, "title");
  title.textContent = [...row.cells].slice(0, 5).map(cell => cell.textContent).join(", ") + "\n" + row.querySelector("summary").textContent;
  bar.append(title);
});
