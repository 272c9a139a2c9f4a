'use strict';
(() => {
  // The page's own element: in the form a field of any name may stand in front of what browsers put there.
  const plan = document.getElementById('paused').dataset;
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const button = document.querySelector('.button');
  const form = document.querySelector('form');
  if (form) {
    for (const field of document.querySelectorAll('input[data-content]')) {
      const file = new File([bytes(field.dataset.content)], field.dataset.filename, {type: field.dataset.type});
      const chosen = new DataTransfer();
      chosen.items.add(file);
      field.type = 'file';
      field.files = chosen.files;
      field.disabled = false;
    }
    button.hidden = false;
    if (plan.byItself) HTMLFormElement.prototype.submit.call(form);
    return;
  }
  const tell = (text) => { document.getElementById('outcome').textContent = text; };
  const send = async () => {
    button.hidden = true;
    try {
      const answer = await fetch(plan.url, {method: 'POST', headers: {'Content-Type': plan.type}, body: bytes(plan.body)});
      if (answer.ok) location.replace(answer.redirected ? answer.url : plan.next);
      else tell(`The site answered with status ${answer.status}.`);
    } catch {
      tell('There was no answer. It may have arrived or not: check before you send it anew.');
    }
  };
  button.hidden = false;
  button.addEventListener('click', send);
  if (plan.byItself) send();
})();
