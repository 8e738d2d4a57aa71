// Clicking a column's title sorts the table by it; clicking it again turns the order round. Cells without a number go last.
for (const title of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.append(...title.childNodes);
  title.append(button);
  button.addEventListener("click", () => {
    const table = title.closest("table"), body = table.tBodies[0], place = title.cellIndex;
    const falls = title.getAttribute("aria-sort") === "ascending", sign = falls ? -1 : 1;
    const value = row => row.cells[place].textContent.trim();
    const number = row => parseFloat(value(row).replace(/,/g, "").replace("−", "-"));
    const isNumber = title.classList.contains("number");
    const rows = [...body.rows].sort((a, b) => {
      if (!isNumber) return sign * value(a).localeCompare(value(b), undefined, { numeric: true });
      const x = number(a), y = number(b);
      return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (x - y);
    });
    for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
    title.setAttribute("aria-sort", falls ? "descending" : "ascending");
    body.append(...rows);
  });
}
