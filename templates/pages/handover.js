(() => {
  const prefix = document.currentScript.dataset.param + "=";
  // A token that was added blindly stands behind a second question mark.
  const said = location.search.split(/[?&]/).filter((part) => part.startsWith(prefix)).pop();
  history.replaceState(null, "", location.pathname);
  const frame = window.opener;
  if (!said || !frame) return;
  window.addEventListener("message", ({ data, origin, source }) => {
    if (origin !== location.origin || source !== frame || data !== "tollgate: taken") return;
    for (const text of document.querySelectorAll("[data-when]")) text.hidden = text.dataset.when !== "taken";
    window.close();
  });
  // The browser delivers it to a page of this origin and to no other.
  frame.postMessage({ tollgateToken: decodeURIComponent(said.slice(prefix.length)) }, location.origin);
})();
