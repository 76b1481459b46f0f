// Renews a page while a run goes on. Pages are whole without it.
"use strict";
(() => {
  const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));
  let told = "";

  // Puts the fresh content in the place of the old, and leaves the focus and what is unfolded as they were.
  async function renew() {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [old, next] = [document.getElementById("live"), fresh.getElementById("live")];
    if (!old || !next) { return null; }
    const focused = document.activeElement && document.activeElement.getAttribute("href");
    const scrolled = Array.from(old.querySelectorAll(".scrolling"), region => region.scrollLeft);
    old.replaceWith(next);
    next.querySelectorAll(".scrolling").forEach((region, place) => { region.scrollLeft = scrolled[place] || 0; });
    if (focused) {
      const again = Array.from(next.querySelectorAll("a")).find(link => link.getAttribute("href") === focused);
      if (again) { again.focus({ preventScroll: true }); }
    }
    document.title = fresh.title;
    tell(next);
    return next;
  }

  // Tells a screen reader, and not with every action.
  function tell(live) {
    const news = live.querySelector("#told");
    const text = news ? news.textContent : "";
    const now = Date.now();
    if (text && text !== told && now - (tell.last || 0) > 10000) {
      told = text;
      tell.last = now;
      document.getElementById("news").textContent = text;
    }
  }

  async function again(live) {
    while (live && live.dataset.again) {
      await wait(400);
      live = await renew();
    }
    if (live) { follow(live); }
  }

  function follow(live) {
    if (live.dataset.again) { again(live); return; }
    if (!live.dataset.events) { return; }
    const events = new EventSource(live.dataset.events);
    let busy = false;
    let missed = false;
    const change = async () => {
      if (busy) { missed = true; return; }
      busy = true;
      do {
        missed = false;
        await renew().catch(() => {});
        await wait(500);
      } while (missed);
      busy = false;
    };
    events.addEventListener("change", change);
    events.addEventListener("end", async () => {
      events.close();
      const last = await renew();
      document.getElementById("news").textContent = "The run has ended.";
      if (last && last.dataset.again) { again(last); }
    });
  }

  const live = document.getElementById("live");
  if (live) { follow(live); }
})();
