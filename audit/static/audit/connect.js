// The first event as it arrives, looked for again every two seconds.
"use strict";
{
  const arrival = document.querySelector(".arrival");
  const again = async () => {
    const answer = await fetch(arrival.dataset.source);
    const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".arrival");
    if (fresh) arrival.replaceChildren(...fresh.childNodes);
    if (!arrival.querySelector(".badge-ok")) setTimeout(again, 2000);
  };
  if (arrival && !arrival.querySelector(".badge-ok")) setTimeout(again, 2000);
}
