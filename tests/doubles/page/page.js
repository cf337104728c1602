"use strict";

const SOON = 300;
const here = { chat: "", as: "", room: "", reply: "" };
const $ = (id) => document.getElementById(id);
let chats = {};
let shown = "";

const make = (tag, text = "", kind = "") => Object.assign(document.createElement(tag), { textContent: text, className: kind });

async function post(path, more) {
  const body = JSON.stringify({ ...here, ...more });
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  return answer.ok ? answer.json() : {};
}

function go(where) {
  Object.assign(here, { reply: "" }, where);
  const people = chats[here.chat].people;
  if (!(here.as in people)) here.as = Object.keys(people)[0];
  if (!(here.room in chats[here.chat].rooms)) here.room = Object.keys(chats[here.chat].rooms)[0];
  history.replaceState(null, "", "?" + new URLSearchParams({ chat: here.chat, as: here.as, room: here.room }));
  document.body.className = here.chat;
  $("name").textContent = chats[here.chat].rooms[here.room];
  $("who").replaceChildren(...Object.entries(people).map(([id, name]) => new Option(name, id, false, id === here.as)));
  $("home").hidden = here.chat !== "slack";
  $("rooms").replaceChildren(...Object.entries(chats).flatMap(listed));
  reply("");
  look();
}

function listed([chat, { rooms }]) {
  const buttons = Object.entries(rooms).map(([room, name]) => {
    const made = make("button", name, chat === here.chat && room === here.room ? "here" : "");
    made.onclick = () => go({ chat, room });
    return made;
  });
  return [make("h2", chat), ...buttons];
}

function reply(id) {
  here.reply = id;
  $("replying").textContent = id ? "You reply. Escape ends that." : "";
  if (id) $("text").focus();
}

async function look() {
  const answer = await fetch("posts?" + new URLSearchParams(here));
  if (!answer.ok) return;
  const posts = await answer.json();
  const now = JSON.stringify([here.chat, here.as, here.room, posts]);
  if (now === shown || document.activeElement?.classList.contains("field")) return;
  shown = now;
  const roots = posts.filter((one) => !one.thread || here.chat === "telegram");
  const replies = (root) => posts.filter((one) => one.thread === root.id && here.chat !== "telegram");
  $("posts").replaceChildren(...roots.flatMap((root) => [root, ...replies(root)]).map(drawn));
  $("posts").scrollTop = $("posts").scrollHeight;
}

function drawn(one) {
  const mine = one.author === chats[here.chat].people[here.as];
  const article = make("article", "", [mine && "me", one.thread && here.chat === "slack" && "thread", one.private && "private", one.asks && "asks"].filter(Boolean).join(" "));
  article.dataset.id = one.id;
  const author = make("div", one.author, "author");
  const more = make("span", [one.private && "only you see this", one.edited && "edited"].filter(Boolean).join(", "), "more");
  const answer = make("button", "reply");
  answer.onclick = () => reply(one.thread || one.id);
  more.append(" ", answer);
  author.append(more);
  const body = make("div", "", "body");
  if (one.html) body.innerHTML = one.html; else body.textContent = one.text;
  body.querySelectorAll("button").forEach((button) => button.remove());
  body.querySelectorAll("blockquote").forEach((quote) => (quote.onclick = () => quote.classList.toggle("open")));
  article.append(author, body, ...attached(one), pressable(one));
  return article;
}

function attached(one) {
  if (!one.files.length) return [];
  const files = make("div", "", "files");
  for (const name of one.files) {
    const link = make("a", name);
    link.href = "file?" + new URLSearchParams({ ...here, id: one.id, name });
    link.download = name;
    files.append(link);
  }
  return [files];
}

function pressable(one) {
  const row = make("div", "", "buttons");
  const field = make("input", "", "field");
  if (one.asks) row.append(field);
  for (const { label, danger, primary } of one.buttons) {
    const button = make("button", label, danger ? "danger" : primary ? "primary" : "");
    button.onclick = async () => {
      button.disabled = true;
      const { room } = await post("press", { id: one.id, label, answer: field.value });
      button.disabled = false;
      if (room) go({ room: "{user}" });
      shown = "";
      look();
    };
    row.append(button);
  }
  return row;
}

$("who").onchange = () => go({ as: $("who").value });
$("home").onclick = async () => { await post("home", {}); go({ room: "home:{user}" }); };
$("text").onkeydown = (event) => { if (event.key === "Escape") reply(""); };
$("composer").onsubmit = async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  await post("say", { text });
  reply("");
  look();
};

(async () => {
  chats = await (await fetch("chats")).json();
  const asked = Object.fromEntries(new URLSearchParams(location.search));
  go({ chat: asked.chat in chats ? asked.chat : Object.keys(chats)[0], as: asked.as ?? "", room: asked.room ?? "" });
  setInterval(look, SOON);
})();
