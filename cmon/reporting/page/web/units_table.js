"use strict";
// The search field over the table of all units.

function listenToUnitsTable() {
  const search = document.getElementById("search"), only = document.getElementById("only");
  const rows = [...document.querySelectorAll("#units tbody tr")];
  const texts = rows.map(row => row.textContent.toLowerCase().replace(/\s+/g, " "));
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, at) => {
      row.hidden = (only.checked && !row.dataset.significant) || !words.every(word => texts[at].includes(word));
      shown += !row.hidden;
    });
    document.getElementById("count").textContent = `${shown} of ${rows.length} units`;
  };
  document.getElementById("controls").hidden = false;
  search.addEventListener("input", filter);
  only.addEventListener("change", filter);
  filter();
}

listenToUnitsTable();
