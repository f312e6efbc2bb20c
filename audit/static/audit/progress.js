// How far a bundle is, looked at again every two seconds; once it has ended, the whole page is loaded anew.
"use strict";
const watched = document.getElementById("under-way");
const again = async () => {
  const answer = await fetch(location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("under-way");
  if (!fresh) {
    location.reload();
    return;
  }
  watched.replaceChildren(...fresh.childNodes);
  setTimeout(again, 2000);
};
if (watched) setTimeout(again, 2000);
