(() => {
  const link = document.querySelector("[data-login]");
  let tab = null;
  link.addEventListener("click", (event) => {
    event.preventDefault();
    // Without a name: the page around this one could find the tab by it.
    tab = window.open(link.dataset.login, "_blank");
    for (const text of document.querySelectorAll("[data-when]")) {
      text.hidden = text.dataset.when !== (tab ? "waiting" : "apart");
    }
  });
  window.addEventListener("message", ({ data, origin, source }) => {
    if (origin !== location.origin || tab === null || source !== tab) return;
    if (typeof data?.tollgateToken !== "string") return;
    tab.postMessage("tollgate: taken", origin);
    location.replace(link.dataset.redeem + encodeURIComponent(data.tollgateToken));
  });
})();
