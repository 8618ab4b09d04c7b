"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 40rem)");
  const font = "system-ui, sans-serif";
  const theme = (ink, faint, line, category, ramp) => ({
    background: "transparent", font,
    axis: { labelColor: faint, titleColor: faint, domainColor: line, tickColor: line, gridColor: line,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelLimit: 200 },
    legend: { labelColor: ink, titleColor: faint, labelFontSize: 12 },
    text: { color: ink, fontSize: 12 },
    bar: { color: category[0] },
    view: { stroke: null },
    range: { category, ramp, heatmap: ramp },
  });
  const themes = {
    light: theme("#1b2530", "#5a6875", "#d9dfe5",
      ["#1f6fb2", "#d9822b", "#3a9a6b", "#a05195"], ["#eaf1f8", "#4f8fc7", "#174a7e"]),
    dark: theme("#e4e9ee", "#9aa8b5", "#34424f",
      ["#5aa9e6", "#f0a04b", "#5fc493", "#cf86c4"], ["#1f2b36", "#2f5f8d", "#3c8fdc"]),
  };
  const views = [];

  async function draw() {
    views.splice(0).forEach((view) => view.finalize());
    const config = themes[dark.matches ? "dark" : "light"];
    config.legend.columns = narrow.matches ? 2 : 0; // 0: all beside each other
    // `ast`: expressions are interpreted, so that no policy need allow text to become code.
    const options = { actions: false, ast: true, config, renderer: "svg" };
    for (const [name, spec] of Object.entries(specs)) {
      const place = document.getElementById(name);
      try {
        views.push(await vegaEmbed(place, spec, options));
      } catch (error) {
        place.textContent = `This chart could not be drawn: ${error.message}`;
        console.error(name, error);
      }
    }
    document.documentElement.dataset.drawn = views.length;
  }

  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  draw();
})();
