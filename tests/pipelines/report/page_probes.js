// What the tests of the report page ask a browser.

const focusable = () =>
  [...document.querySelectorAll('a[href], summary, [tabindex]')].filter((element) =>
    element.checkVisibility({ contentVisibilityAuto: true }));

const openDetails = () =>
  document.querySelectorAll('details').forEach((details) => { details.open = true; });

// Each image: its text, and whether it is loaded, large enough, within the page, and in proportion.
const images = (width) => [...document.images].map((image) => {
  const box = image.getBoundingClientRect();
  const proportion = box.width / box.height;
  return [
    image.alt.slice(0, 40),
    image.complete && image.naturalWidth > 0,
    box.width > 40 && box.height > 20,
    box.left >= -1 && box.right <= width + 1,
    Math.abs(proportion - image.naturalWidth / image.naturalHeight) < 0.05 * proportion,
  ];
});

// What sticks out of the page, other than within a region that scrolls by itself.
const outside = (width) => [...document.querySelectorAll('body *')]
  .filter((element) => !element.closest('.scroll, pre') && element.checkVisibility())
  .filter((element) => element.getBoundingClientRect().right > width + 1)
  .map((element) => element.outerHTML.slice(0, 80));

// Every wide table scrolled to its end: whether it moved, and its first column stayed.
const scrolledTables = () => [...document.querySelectorAll('.scroll')]
  .filter((region) => region.checkVisibility() && region.scrollWidth > region.clientWidth + 2)
  .map((region) => {
    region.scrollLeft = 1e6;
    const name = region.querySelector('tbody th:not([colspan])');
    const left = (element) => element.getBoundingClientRect().left;
    return [region.scrollLeft > 0, !name || Math.abs(left(name) - left(region)) < 2];
  });

const focused = () => [
  focusable().indexOf(document.activeElement),
  getComputedStyle(document.activeElement).outlineStyle !== 'none',
];

const deadLinks = () =>
  [...document.links].filter((link) => !document.getElementById(link.hash.slice(1))).length;

// Colours as [red, green, blue, opacity], and their relative luminance as WCAG defines it.
const rgba = (text) => {
  const numbers = text.match(/[\d.]+/g).map(Number);
  return numbers.length < 4 ? [...numbers, 1] : numbers;
};
const over = (top, below) =>
  [0, 1, 2].map((channel) => top[channel] * top[3] + below[channel] * (1 - top[3])).concat(1);
const luminance = (colour) => {
  const [red, green, blue] = colour.slice(0, 3).map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};

// Every text's contrast with what is painted below it: how many texts there are, those whose
// contrast is below `least`, and the best contrast.
const contrasts = (least) => {
  const grounds = new Map([[null, [255, 255, 255, 1]]]);
  const groundOf = (element) => {
    if (!grounds.has(element)) {
      const own = rgba(getComputedStyle(element).backgroundColor);
      grounds.set(element, over(own, groundOf(element.parentElement)));
    }
    return grounds.get(element);
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  let best = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility()) continue;
    const ground = groundOf(element);
    const ink = luminance(over(rgba(getComputedStyle(element).color), ground));
    const paper = luminance(ground);
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    seen += 1;
    best = Math.max(best, ratio);
    if (ratio < least) faint.push([text.slice(0, 40), ratio]);
  }
  return { seen, faint, best };
};
