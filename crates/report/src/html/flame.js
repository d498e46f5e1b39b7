// Flamegraphs: enlarge, search, move by keyboard. The pictures are drawn without this script.
"use strict";
for (const figure of document.querySelectorAll("[data-flame]")) {
  const stage = figure.querySelector(".stage");
  const picture = stage.querySelector("svg");
  const search = figure.querySelector("input");
  const whole = figure.querySelector("button");
  const matched = figure.querySelector(".matched");
  const said = figure.querySelector(".said output");

  // Frames come with callers before what they call, so a frame's callees follow it.
  const row = 18;
  const lastOfDepth = [];
  const frames = [...picture.querySelectorAll("svg")].map((element, at) => {
    const [name, figures] = element.querySelector("title").textContent.split("\n");
    const depth = Number(element.getAttribute("y")) / row;
    const frame = {
      at, element, name, figures, depth,
      parent: depth > 0 ? lastOfDepth[depth - 1] : null,
      left: parseFloat(element.getAttribute("x")),
      width: parseFloat(element.getAttribute("width")),
      shown: true,
    };
    lastOfDepth[depth] = frame;
    element.frame = frame;
    return frame;
  });
  const root = frames[0];
  let zoomed = root;
  let current = root;

  const within = (frame, outer) => {
    while (frame && frame.depth > outer.depth) frame = frame.parent;
    return frame === outer;
  };

  const place = (frame, left, width) => {
    frame.element.setAttribute("x", left.toFixed(4) + "%");
    frame.element.setAttribute("width", width.toFixed(4) + "%");
    if (width >= 1 && !frame.element.querySelector("text")) {
      const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
      text.setAttribute("x", "3");
      text.setAttribute("y", "12.5");
      text.textContent = frame.name;
      frame.element.append(text);
    }
  };

  const say = (frame) => {
    said.textContent = frame.name + ": " + frame.figures;
  };

  const point = (frame) => {
    current.element.classList.remove("current");
    current = frame;
    current.element.classList.add("current");
    say(current);
  };

  const zoom = (target) => {
    zoomed = target;
    for (const frame of frames) {
      const outer = frame !== target && within(target, frame);
      frame.shown = outer || within(frame, target);
      frame.element.classList.toggle("outer", outer);
      frame.element.style.display = frame.shown ? "" : "none";
      if (outer) place(frame, 0, 100);
      else if (frame.shown) {
        place(frame, (frame.left - target.left) / target.width * 100,
          frame.width / target.width * 100);
      }
    }
    whole.disabled = target === root;
    if (!current.shown) current = target;
    say(target);
  };

  const find = () => {
    const text = search.value.trim().toLowerCase();
    picture.classList.toggle("searching", text !== "");
    let count = 0;
    let width = 0;
    for (const frame of frames) {
      const hit = text !== "" && frame.name.toLowerCase().includes(text);
      // A hit inside of a hit is already in its width.
      frame.hit = hit || Boolean(frame.parent && frame.parent.hit);
      frame.element.classList.toggle("hit", hit);
      if (!hit) continue;
      count += 1;
      if (!(frame.parent && frame.parent.hit)) width += frame.width;
    }
    matched.textContent = text === "" ? ""
      : count + (count === 1 ? " frame, " : " frames, ") + width.toFixed(1) + " % of the width";
  };

  const neighbour = (frame, step) => {
    for (let at = frame.at + step; at >= 0 && at < frames.length; at += step) {
      if (frames[at].depth === frame.depth && frames[at].shown) return frames[at];
    }
    return null;
  };
  const callee = (frame) => {
    const next = frames[frame.at + 1];
    if (next && next.parent === frame && next.shown) return next;
    // Of the frames outside of an enlarged one only its callers are shown.
    return frames.find((other) => other.parent === frame && other.shown) || null;
  };
  const moves = {
    ArrowUp: () => current.parent,
    ArrowDown: () => callee(current),
    ArrowLeft: () => neighbour(current, -1),
    ArrowRight: () => neighbour(current, 1),
    Home: () => root,
  };

  const follow = (frame) => {
    const box = frame.element.getBoundingClientRect();
    if (box.top < 40 || box.bottom > window.innerHeight - 80) {
      window.scrollBy({ top: box.top - window.innerHeight / 2 });
    }
  };

  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) {
      const next = moves[event.key]();
      if (next) {
        point(next);
        follow(next);
      }
    } else if (event.key === "Enter" || event.key === " ") {
      zoom(current);
      point(current);
    } else if (event.key === "Escape") {
      zoom(root);
    } else {
      return;
    }
    event.preventDefault();
  });
  stage.addEventListener("focus", () => {
    if (stage.matches(":focus-visible")) point(current);
  });
  stage.addEventListener("blur", () => current.element.classList.remove("current"));
  const frameOf = (event) => {
    const element = event.target.closest("svg");
    return element && element.frame;
  };
  picture.addEventListener("click", (event) => {
    const frame = frameOf(event);
    if (!frame) return;
    current.element.classList.remove("current");
    current = frame;
    zoom(frame);
  });
  picture.addEventListener("pointerover", (event) => {
    const frame = frameOf(event);
    if (frame) say(frame);
  });
  picture.addEventListener("pointerleave", () => say(zoomed));
  whole.addEventListener("click", () => {
    zoom(root);
    stage.focus();
  });
  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    search.value = "";
    find();
  });
}
