// Drag and drop of home cards by their title bar; the new order is saved. Without this script each card's menu moves it.

const cards = document.querySelector("[data-cards]");
let held = null;

const cardAt = (event) => event.target.closest?.("[data-card]");

// Dropped on a later card, the dragged one goes after it; on an earlier one, before it.
const side = (card) => (held.compareDocumentPosition(card) & Node.DOCUMENT_POSITION_FOLLOWING ? "after" : "before");

const unmark = () => {
  for (const card of cards.querySelectorAll("[data-drop]")) delete card.dataset.drop;
};

const keep = async () => {
  const order = [...cards.querySelectorAll("[data-card]")].map((card) => card.dataset.card).join(",");
  const answer = await fetch(cards.dataset.cards, { method: "POST", body: new URLSearchParams({ order }) }).catch(
    () => null,
  );
  // An order that was not saved must not stay visible: reload the page as it is stored.
  if (answer?.status !== 204) window.location.reload();
  else document.getElementById("announcement").textContent = cards.dataset.moved;
};

const listeners = {
  pointerdown(event) {
    const bar = event.target.closest(".card-header");
    const card = bar && cardAt(event);
    if (!card || event.target.closest("button, summary")) return;
    for (const link of bar.querySelectorAll("a")) link.draggable = false; // Browsers drag a link instead of its card by default.
    card.draggable = true;
  },
  pointerup(event) {
    const card = cardAt(event);
    if (card) card.draggable = false;
  },
  dragstart(event) {
    if (!event.target.matches?.("[data-card]")) return;
    held = event.target;
    held.dataset.held = "";
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", held.dataset.card);
  },
  dragover(event) {
    const card = held && cardAt(event);
    if (!card) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
    unmark();
    if (card !== held) card.dataset.drop = side(card);
  },
  drop(event) {
    const card = held && cardAt(event);
    if (!card) return;
    event.preventDefault();
    if (card === held) return;
    card[side(card)](held);
    keep();
  },
  dragend() {
    if (!held) return;
    unmark();
    held.draggable = false;
    delete held.dataset.held;
    held = null;
  },
};

if (cards) for (const [name, listener] of Object.entries(listeners)) cards.addEventListener(name, listener);
