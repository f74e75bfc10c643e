// The chosen theme, before anything is painted. A classic script: modules run too late for that.
(function () {
  try {
    const theme = localStorage.getItem("mall.theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch { /* storage may be forbidden; then the system decides */ }
})();
