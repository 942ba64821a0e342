// HTML as elements and blocks of text, and where each lies in the page (markup.py). Doors come twice: _8 for ASCII
// pages, _32 for pages of code points.
#include "text.h"

#include <algorithm>
#include <vector>

// What a name means, as markup.py says it: a kind, the bit of those that a start tag may close, and which it closes.
enum Kind : uint32_t {
  INLINE = 1, UNSEEN = 2, HOLDS = 4, ANCHOR = 8, BREAK = 16, NOTE = 32, RUBY = 64, VOID = 128, PARAGRAPH = 256,
  PRE = 512, SHOWN = 1024,
};

static inline bool blank(uint32_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
static inline bool letter(uint32_t c) { return (c | 32) - 'a' < 26; }
static inline uint32_t lower(uint32_t c) { return c - 'A' < 26 ? c | 32 : c; }

// Names in lower case, numbered in the order in which they come; the known ones first.
struct Names {
  std::vector<char> letters;
  std::vector<uint32_t> starts{0}, meanings, opened, slots;

  Names(const char* known, const uint32_t* meaning, int64_t count) : slots(512, 0) {
    for (int64_t k = 0; k < count; ++k, known += std::strlen(known) + 1) {
      letters.insert(letters.end(), known, known + std::strlen(known));
      meanings[number()] = meaning[k];
    }
  }
  // The number of the name whose letters were just written behind the others; a known one's are taken away again.
  uint32_t number() {
    if (2 * meanings.size() >= slots.size()) grow();
    uint32_t begin = starts.back(), size = letters.size() - begin, at = place(begin, size);
    if (slots[at]) {
      letters.resize(begin);
      return slots[at] - 1;
    }
    starts.push_back(letters.size()), meanings.push_back(0), opened.push_back(0);
    slots[at] = meanings.size();
    return slots[at] - 1;
  }
  uint32_t place(uint32_t begin, uint32_t size) const {
    uint64_t h = WORD_SEED;
    for (uint32_t k = 0; k < size; ++k) h = (h ^ static_cast<uint8_t>(letters[begin + k])) * WORD_FACTOR;
    for (uint32_t at = mixed(h) & (slots.size() - 1);; at = (at + 1) & (slots.size() - 1)) {
      if (!slots[at]) return at;
      uint32_t other = starts[slots[at] - 1];
      if (starts[slots[at]] - other == size && !std::memcmp(&letters[other], &letters[begin], size)) return at;
    }
  }
  void grow() {
    slots.assign(2 * slots.size(), 0);
    for (uint32_t n = 0; n < meanings.size(); ++n) slots[place(starts[n], starts[n + 1] - starts[n])] = n + 1;
  }
};

using Place = int32_t;  // in a page, which has at most 2^28 characters, or a number of what is in it
struct Element {
  Place name, parent, begin, end;  // the attributes
};
struct Block {
  Place element, linked, pre, first, count;  // of pieces
};
struct Range {
  Place begin, end;  // of a text; begin is -1 for a line break
};

template <typename C>
struct Scan {
  Text<C> text;
  Names names;
  Element* elements;
  Block* blocks;
  Range *pieces, *spelled;  // where a name that was not known comes first
  Place length = static_cast<Place>(text.size), known = 0, size = 1, found = 0, written = 0, first = 0, linked = 0;
  size_t link = 0;
  bool annotates = false;
  uint32_t pre = 0;
  std::vector<Place> path{0};

  C at(Place i) const { return text.at[i]; }
  uint32_t meaning(Place element) const { return names.meanings[elements[element].name]; }
  Place next(Place i, uint32_t wanted) const {
    using W = Wide<C>;
    for (; i + W::SIZE <= length; i += W::SIZE)
      if (W::any(W::load(text.at + i) == static_cast<C>(wanted))) break;
    while (i < length && at(i) != wanted) ++i;
    return i;
  }
  bool spaces(Place begin, Place end) const {
    while (begin < end && text.is(begin, SPACE)) ++begin;
    return begin == end;
  }

  void write(Place begin, Place end) {  // a text, or a line break
    if (annotates) return;
    pieces[written++] = {begin, end};
    if (!link) return;
    if (begin < 0) {
      ++linked;
      return;
    }
    while (begin < end && blank(at(begin))) ++begin;
    while (begin < end && blank(at(end - 1))) --end;
    for (; begin < end; ++begin) {
      uint32_t c = at(begin);
      linked += 1 + (c > 0x7F) + (c > 0x7FF) + (c > 0xFFFF);
    }
  }
  void close_block() {
    bool any = false;
    for (Place k = first; k < written && !any; ++k)
      any = pieces[k].begin >= 0 && !spaces(pieces[k].begin, pieces[k].end);
    if (any) {
      blocks[found++] = {path.back(), linked, names.opened[pre] > 0, first, written - first};
    } else {
      written = first;
    }
    first = written;
    linked = 0;
  }
  void pop() {
    --names.opened[elements[path.back()].name];
    path.pop_back();
  }
  void open(uint32_t name, Place begin, Place end) {
    uint32_t closes = names.meanings[name] >> 24;
    if (closes) {
      Place top = static_cast<Place>(path.size()) - 1;
      for (Place k = top; k > std::max<Place>(top - 3, 0); --k) {
        uint32_t around = meaning(path[k]);
        if (around >> 16 & closes & 255) {
          while (static_cast<Place>(path.size()) > k) pop();
        } else if (around & HOLDS) {
          break;
        }
      }
    } else if (meaning(path.back()) & PARAGRAPH) {
      pop();
    }
    elements[size] = {static_cast<Place>(name), path.back(), begin, end};
    path.push_back(size++);
    ++names.opened[name];
  }
  void close(uint32_t name) {
    if (!names.opened[name]) return;
    for (bool last = false; !last;) {
      last = static_cast<uint32_t>(elements[path.back()].name) == name;
      pop();
    }
    if (path.size() < link) link = 0;
  }
  void tag(uint32_t name, Place begin, Place end, bool closing) {
    uint32_t kind = names.meanings[name];
    if (kind & ANCHOR) {
      link = closing ? 0 : path.size();
    } else if (kind & BREAK) {
      write(-1, -1);
    } else if (kind & (NOTE | RUBY)) {
      annotates = !closing && !(kind & RUBY);
    } else {
      if (written > first) close_block();
      annotates = false;
      if (closing)
        close(name);
      else if (!(kind & VOID))
        open(name, begin, end);
    }
  }
  Place attributes(Place i) const {  // their end: a `>` that is in no quotes, or the end
    while (i < length && at(i) != '>') {
      if (at(i++) != '=') continue;
      while (i < length && blank(at(i))) ++i;
      if (i < length && (at(i) == '"' || at(i) == '\'')) i = std::min(next(i + 1, at(i)) + 1, length);
    }
    return i;
  }
  Place end_of(uint32_t name, Place i) const {  // where its end tag begins, or the end
    const char* letters = &names.letters[names.starts[name]];
    Place count = names.starts[name + 1] - names.starts[name];
    for (; (i = next(i, '<')) < length; ++i) {
      Place k = 0, from = i + 2;
      if (from + count > length || at(i + 1) != '/') continue;
      while (k < count && lower(at(from + k)) == static_cast<uint8_t>(letters[k])) ++k;
      from += count;
      if (k == count && (from == length || blank(at(from)) || at(from) == '/' || at(from) == '>')) return i;
    }
    return length;
  }

  // Whether the page could be read: a name beyond ASCII is for Python.
  bool run() {
    Place place = 0;
    for (Place begin = next(0, '<'); begin < length; begin = next(begin, '<')) {
      Place i = begin + 1;
      bool closing = i < length && at(i) == '/', named = i + closing < length && letter(at(i + closing));
      if (!named && (i == length || (at(i) != '!' && at(i) != '?' && at(i) != '/'))) {
        ++begin;
        continue;
      }
      if (begin > place && (written > first || names.opened[pre] || !spaces(place, begin))) write(place, begin);
      if (!named) {
        bool comment = i + 2 < length && at(i) == '!' && at(i + 1) == '-' && at(i + 2) == '-';
        Place end = next(comment ? i + 3 : i + 1, '>');
        while (comment && end < length && !(at(end - 1) == '-' && at(end - 2) == '-')) end = next(end + 1, '>');
        begin = place = std::min(end + 1, length);
        continue;
      }
      Place spelling = i += closing;
      for (; i < length && !blank(at(i)) && at(i) != '/' && at(i) != '>'; ++i) {
        if (at(i) > 127) return false;
        names.letters.push_back(static_cast<char>(lower(at(i))));
      }
      uint32_t before = names.meanings.size(), name = names.number();
      if (names.meanings.size() > before) spelled[before - known] = {spelling, i};
      Place end = attributes(i);
      place = std::min(end + 1, length);
      uint32_t kind = names.meanings[name];
      if (kind & UNSEEN) {
        if (!closing) {
          Place stop = end_of(name, place);
          if (kind & SHOWN) write(place, stop);
          place = stop;
        }
      } else if (!(kind & INLINE)) {
        tag(name, i, end, closing);
      }
      begin = place;
    }
    write(place, length);
    close_block();
    return true;
  }
};

template <typename C>
static int64_t scan(Text<C> text, const char* letters, int64_t known, const uint32_t* meanings, Element* elements,
                    Block* blocks, Range* pieces, Range* spelled, int64_t* sizes) {
  Scan<C> scan{text, Names(letters, meanings, known), elements, blocks, pieces, spelled};
  scan.known = known;
  while (!(meanings[scan.pre] & PRE)) ++scan.pre;
  elements[0] = {0, -1, 0, 0};
  if (!scan.run()) return 0;
  sizes[0] = scan.size, sizes[1] = scan.found, sizes[2] = scan.written, sizes[3] = scan.names.meanings.size() - known;
  return 1;
}

#define DOOR(SUFFIX, C)                                                                                         \
  extern "C" int64_t markup_scan_##SUFFIX(const C* at, int64_t n, const uint16_t* table, const char* letters,    \
                                          int64_t known, const uint32_t* meanings, Element* elements,            \
                                          Block* blocks, Range* pieces, Range* spelled, int64_t* sizes) {        \
    return scan(Text<C>{at, n, table}, letters, known, meanings, elements, blocks, pieces, spelled, sizes);      \
  }
DOOR(8, uint8_t)
DOOR(32, uint32_t)
