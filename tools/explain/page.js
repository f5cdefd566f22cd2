const all = (selector) => document.querySelectorAll(selector);
const linked = (numbers) => [...all("[data-ops]")].filter((e) => e.dataset.ops.split(" ").some((n) => numbers.has(n)));

function select(numbers, from) {
  all(".on:not(nav *):not(section)").forEach((e) => e.classList.remove("on"));
  for (const e of linked(numbers)) {
    e.classList.add("on");
  }
  // The first of each kind comes into view, but for what was clicked.
  for (const kind of [".l.on", ".op.on"]) {
    const first = document.querySelector(kind);
    if (first && !first.contains(from) && first.offsetParent) first.scrollIntoView({ block: "center", behavior: "smooth" });
  }
}

for (const e of all("[data-ops]")) {
  e.addEventListener("click", () => select(new Set(e.dataset.ops.split(" ")), e));
}
for (const step of all(".step")) {
  step.addEventListener("click", () => {
    all(".on:not(nav *):not(section)").forEach((e) => e.classList.remove("on"));
    const line = [...all(".l")].find((e) => e.dataset.at === step.dataset.at);
    step.classList.add("on");
    if (line) {
      line.classList.add("on");
      line.scrollIntoView({ block: "center", behavior: "smooth" });
    }
  });
}
for (const button of all("nav button")) {
  button.addEventListener("click", () => {
    for (const e of all("nav button, section")) e.classList.toggle("on", e.dataset.tab === button.dataset.tab);
  });
}
document.querySelector(".theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
