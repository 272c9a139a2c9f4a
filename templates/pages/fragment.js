'use strict';
(() => {
  const plan = document.getElementById('fragment').dataset;
  const fragment = encodeURIComponent(location.hash.slice(1));
  const fits = fragment && fragment.length <= 2048;
  const life = fits ? 900 : 0;
  document.cookie = `${plan.cookie}=${plan.tag}.${fits ? fragment : ''}; Path=/; Max-Age=${life}; SameSite=Lax${plan.secure}`;
  location.replace(document.querySelector('.button').href);
})();
