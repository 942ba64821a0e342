// What curation measures on a text, in few passes: words and lines, repetition, and which lines a rule might take.
// Doors come twice: _8 for ASCII texts, _32 for texts of code points. All results are exact integers; the caller divides.
#include "text.h"

#include <algorithm>
#include <cmath>

struct Piece {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Numbers for keys in the order in which they come, how often each came and where first: an open hash table. A text has
// fewer than 2^32 words.
struct Tally {
  static constexpr uint32_t FREE = ~0u;
  std::vector<uint32_t> slots, first, times;
  std::vector<uint64_t> keys;
  int shift;
  uint32_t count;

  void clear(size_t most) {
    for (shift = 60; 1ull << (64 - shift) < 2 * most; --shift) {}
    slots.assign(1ull << (64 - shift), FREE);
    if (keys.size() < most) keys.resize(most), first.resize(most), times.resize(most);
    count = 0;
  }
  template <typename Same>  // same(place): whether what came there first, with an equal key, is the same
  uint32_t add(uint64_t key, uint32_t place, Same same) {
    for (uint64_t at = key * WORD_FACTOR >> shift, last = slots.size() - 1;; at = (at + 1) & last) {
      uint32_t number = slots[at];
      if (number == FREE) {
        slots[at] = count;
        keys[count] = key, first[count] = place, times[count] = 1;
        return count++;
      }
      if (keys[number] == key && same(first[number])) return ++times[number], number;
    }
  }
};

template <typename C>
static bool same(const C* at, Piece a, Piece b) {
  return a.size() == b.size() && std::memcmp(at + a.begin, at + b.begin, a.size() * sizeof(C)) == 0;
}

static inline uint64_t eight(const char* from) {
  uint64_t x;
  std::memcpy(&x, from, 8);
  return x;
}

// A hash of a piece, from eight bytes at a time, of which the last overlap those before; of long pieces in four lanes,
// so that no step waits for the one before.
template <typename C>
static uint64_t hashed(const C* at, Piece piece) {
  const char* from = reinterpret_cast<const char*>(at + piece.begin);
  int64_t size = piece.size() * static_cast<int64_t>(sizeof(C));
  uint64_t h = WORD_SEED ^ static_cast<uint64_t>(size), lanes[4] = {1, 2, 3, 4};
  auto take = [](uint64_t& into, uint64_t x) { into = (into ^ x) * WORD_FACTOR, into ^= into >> 32; };
  if (size < 8) {
    uint64_t x = 0;
    for (int64_t i = 0; i < size; ++i) x = x << 8 | static_cast<uint8_t>(from[i]);
    take(h, x);
    return mixed(h);
  }
  const char* last = from + size - 8;
  for (; last - from >= 32; from += 32)
    for (int lane = 0; lane < 4; ++lane) take(lanes[lane], eight(from + 8 * lane));
  if (size >= 40)
    for (uint64_t lane : lanes) take(h, lane);
  for (; from < last; from += 8) take(h, eight(from));
  take(h, eight(last));
  return mixed(h);
}

// The first place from `at` on that holds a character, or the end; sixteen are looked at together.
template <typename C>
static const C* next(const C* at, const C* end, C wanted) {
  for (; end - at >= 16; at += 16) {
    bool any = false;
    for (int k = 0; k < 16; ++k) any |= at[k] == wanted;
    if (any) break;
  }
  while (at < end && *at != wanted) ++at;
  return at;
}

template <typename C>
static Piece stripped(const Text<C>& text, Piece piece) {
  while (piece.begin < piece.end && text.is(piece.begin, SPACE)) ++piece.begin;
  while (piece.begin < piece.end && text.is(piece.end - 1, SPACE)) --piece.end;
  return piece;
}

// Stripped, non-empty pieces between runs of `feeds` line feeds, taken from the left as str.split does.
template <typename C>
static std::vector<Piece> segments(const Text<C>& text, int64_t feeds) {
  std::vector<Piece> found;
  int64_t begin = 0;
  auto add = [&](int64_t end) {
    Piece piece = stripped(text, {begin, end});
    if (piece.size()) found.push_back(piece);
  };
  const C* end = text.at + text.size;
  for (const C* at = next(text.at, end, C('\n')); at < end; at = next(at, end, C('\n'))) {
    if (feeds == 1 || (at + 1 < end && at[1] == '\n')) {
      add(at - text.at);
      begin = (at += feeds) - text.at;
    } else {
      ++at;
    }
  }
  add(text.size);
  return found;
}

// Number and characters of the pieces that occur more than once, and of all: out (4,).
template <typename C>
static void repeated_pieces(const Text<C>& text, const std::vector<Piece>& pieces, int64_t* out) {
  Tally tally;
  tally.clear(pieces.size());
  out[0] = out[1] = out[3] = 0;
  out[2] = pieces.size();
  for (size_t i = 0; i < pieces.size(); ++i) {
    tally.add(hashed(text.at, pieces[i]), i, [&](uint32_t other) { return same(text.at, pieces[i], pieces[other]); });
    out[3] += pieces[i].size();
  }
  for (uint32_t n = 0; n < tally.count; ++n)
    if (tally.times[n] > 1) out[0] += tally.times[n], out[1] += pieces[tally.first[n]].size() * tally.times[n];
}

// A number for a word: the word itself where it is packed, else a hash, which has the highest bit.
static constexpr uint64_t HASH = 1ull << 63;
template <typename C>
static uint64_t key_of(const Text<C>& text, Piece word) {
  uint64_t key = word.size() <= 7 ? text.packed(word.begin, word.size()) : 0;
  return key ? key : hashed(text.at, word) | HASH;
}

// Those of the first `size` values whose place passes a test; there is no branch to guess.
template <typename Test>
static std::vector<uint32_t> filtered(const std::vector<uint32_t>& values, size_t size, Test test) {
  std::vector<uint32_t> found(size);
  size_t n = 0;
  for (size_t k = 0; k < size; ++k) found[n] = values[k], n += test(k);
  found.resize(n);
  return found;
}

// For n = 1 to 10: the most that an n-gram occurring `times` > 1 times takes (characters of the longest such times
// `times`, of those that occur most), and the characters of words that lie in n-grams occurring more than once: out
// (10, 2); 0 where no n-gram occurs twice. Then the characters of all words: out[20].
template <typename C>
static void repeated_grams(const Text<C>& text, int64_t* out) {
  std::fill(out, out + 21, 0);
  std::vector<Piece> words;
  std::vector<int64_t> before(1, 0);  // characters of the words before
  words.reserve(text.size / 4 + 1), before.reserve(text.size / 4 + 2);
  for (int64_t i = 0, end; i < text.size; i = end) {
    end = text.segment(i);
    if (text.is(i, ALNUM)) words.push_back({i, end}), before.push_back(before.back() + end - i);
  }
  size_t W = words.size();
  out[20] = before[W];
  Tally grams;
  grams.clear(W);
  std::vector<uint32_t> word(W), starts(W), live, made;  // starts: where n-grams begin; live: those that repeat
  for (size_t i = 0; i < W; ++i) {
    uint64_t key = key_of(text, words[i]);
    starts[i] = i;
    word[i] = grams.add(key, i, [&](uint32_t other) { return !(key & HASH) || same(text.at, words[i], words[other]); });
  }
  std::vector<uint32_t> gram = word;  // the numbers of words, and of the n-grams that begin with them
  for (size_t n = 1;; ++n) {
    live = filtered(starts, starts.size(), [&](size_t k) { return grams.times[gram[starts[k]]] > 1; });
    if (live.empty()) return;
    int64_t most = *std::max_element(grams.times.begin(), grams.times.begin() + grams.count), longest = 0, covered = 0;
    for (uint32_t g = 0; g < grams.count; ++g)
      if (grams.times[g] == most) longest = std::max(longest, before[grams.first[g] + n] - before[grams.first[g]]);
    size_t end = 0;
    for (uint32_t i : live) {
      size_t from = std::max<size_t>(i, end);
      end = i + n;
      covered += before[end] - before[from];
    }
    out[2 * n - 2] = longest * most;
    out[2 * n - 1] = covered;
    if (n == 10) return;
    // An n-gram is the pair of its first n-1 words' number and its last word; it repeats where the next one does, too.
    starts = filtered(live, live.size() - 1, [&](size_t k) { return live[k + 1] == live[k] + 1; });
    grams.clear(starts.size());
    made.clear();
    for (uint32_t i : starts)
      made.push_back(grams.add(static_cast<uint64_t>(gram[i]) << 32 | word[i + n], i, [](uint32_t) { return true; }));
    for (size_t k = 0; k < starts.size(); ++k) gram[starts[k]] = made[k];
  }
}

// The stop words as `packed` has them, each where the highest bits of a product put it.
static constexpr uint64_t STOP_FACTOR = 0xB85544CAEF0756B9ull;
struct StopWords {
  uint64_t at[8] = {};
  bool apart = true;
  constexpr StopWords() {
    for (const char* word : {"the", "be", "to", "of", "and", "that", "have", "with"}) {
      uint64_t key = 0, count = 0;
      for (; word[count]; ++count) key |= static_cast<uint64_t>(word[count]) << 8 * count;
      key |= count << 56;
      apart &= !at[key * STOP_FACTOR >> 61];
      at[key * STOP_FACTOR >> 61] = key;
    }
  }
};
static constexpr StopWords STOP_WORDS;
static_assert(STOP_WORDS.apart, "each stop word has a place of its own");

template <typename C>
static bool dots(const Text<C>& text, int64_t i, int64_t end, int64_t step) {  // "..." or ". . ." at i
  return i + 2 * step < end && text.at[i] == '.' && text.at[i + step] == '.' && text.at[i + 2 * step] == '.' &&
         (step == 1 || (text.at[i + 1] == ' ' && text.at[i + 3] == ' '));
}

// Ellipses of dots, "..." and ". . .", that overlap no other of their kind.
template <typename C>
static int64_t ellipses(const Text<C>& text) {
  const C *end = text.at + text.size, dot = '.';
  int64_t found = 0, free[3] = {0, 0, 0};  // from where on the next of a step may begin
  for (const C* at = next(text.at, end, dot); at < end; at = next(at + 1, end, dot))
    for (int64_t step : {1, 2})
      if (at - text.at >= free[step] && dots(text, at - text.at, text.size, step))
        ++found, free[step] = at - text.at + 2 * step + 1;
  return found;
}

static inline bool gap(uint32_t c) { return c == ' ' || (c >= 9 && c <= 13) || c == 0; }  // between words of fastText

// out (10,), in the order of Counts in text.py.
template <typename C>
static void count(const Text<C>& text, int64_t* out) {
  std::fill(out, out + 10, 0);
  int64_t symbols = 0, fasttext = 0;
  uint32_t nul = 0, kinds = 0;
  for (int64_t i = 0; i < text.size; ++i) {
    uint32_t c = text.at[i];
    symbols += (c == '#') | (c == 0x2026);
    nul |= c == 0;
  }
  out[5] = symbols;
  for (int64_t i = 1; nul && i < text.size; ++i) fasttext += text.at[i - 1] == 0 && text.is(i, ALNUM);
  for (int64_t begin = 0, end; begin < text.size; begin = end) {
    uint16_t entry = text.entry(begin), all = 0;
    end = begin + 1;
    if (entry & SPACE) continue;
    uint32_t before = begin ? text.at[begin - 1] : ' ';
    fasttext += ((entry & ALNUM) != 0) & gap(before) & (before != 0);
    for (end = begin; end < text.size && !((entry = text.entry(end)) & SPACE); ++end) all |= entry;
    ++out[0];
    out[1] += end - begin;
    out[2] += !(all & ALPHA);
    if (end - begin > 4) continue;
    uint64_t key = text.packed(begin, end - begin) | 0x20202020ull >> 8 * (4 - (end - begin));
    uint64_t place = key * STOP_FACTOR >> 61;
    bool stop = STOP_WORDS.at[place] == key;
    out[3] += stop;
    kinds |= static_cast<uint32_t>(stop) << place;
  }
  out[9] = fasttext;
  out[4] = __builtin_popcount(kinds);
  out[5] += ellipses(text);
  for (Piece line : segments(text, 1)) {
    auto c = text.at[line.begin];
    ++out[6];
    out[7] += c == 0x25CF || c == 0x2022 || c == '*' || c == '-';
    out[8] += text.at[line.end - 1] == 0x2026 || (line.size() >= 3 && dots(text, line.end - 3, line.end, 1)) ||
              (line.size() >= 5 && dots(text, line.end - 5, line.end, 2));
  }
}

static const char* COUNTED[] = {"likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes",
                                "downvotes", "downloads", "views", "followers"};

// Whether a line ends in the name of something counted, and in what is no letter, digit or _ behind it.
template <typename C>
static bool ends_counted(const Text<C>& text, Piece line) {
  while (line.end > line.begin && !text.is(line.end - 1, ALNUM) && text.at[line.end - 1] != '_') --line.end;
  for (const char* word : COUNTED) {
    int64_t size = std::strlen(word), i = 0;
    if (size > line.size()) continue;
    for (; i < size; ++i) {
      uint32_t c = text.at[line.end - size + i];
      if (c != 0x212A ? (c | 32) != static_cast<uint32_t>(word[i]) : word[i] != 'k') break;  // the Kelvin sign, too
    }
    if (i == size) return true;
  }
  return false;
}

// Over all lines that are not empty, as they are: the most upper-case letters and the most digits, as a share of the
// characters; the fewest and most words; lines that end in the name of something counted: out (5,).
template <typename C>
static void lines(const Text<C>& text, double* out) {
  out[0] = out[1] = out[3] = out[4] = 0;
  out[2] = HUGE_VAL;
  for (Piece line{0, 0}; line.begin <= text.size; line.begin = line.end + 1) {
    int64_t upper = 0, digits = 0, words = 0;
    bool before = true;
    for (line.end = line.begin; line.end < text.size && text.at[line.end] != '\n'; ++line.end) {
      uint16_t entry = text.entry(line.end);
      bool space = entry & SPACE;
      upper += (entry & UPPER) != 0;
      digits += (entry & DIGIT) != 0;
      words += before && !space;
      before = space;
    }
    if (!line.size()) continue;
    out[0] = std::max(out[0], static_cast<double>(upper) / static_cast<double>(line.size()));
    out[1] = std::max(out[1], static_cast<double>(digits) / static_cast<double>(line.size()));
    out[2] = std::min(out[2], static_cast<double>(words));
    out[3] = std::max(out[3], static_cast<double>(words));
    out[4] += ends_counted(text, line);
  }
}

// The numbers of the lines that have more of some kind of character than a share of theirs.
template <typename C>
static int64_t lines_over(const Text<C>& text, uint16_t flag, double bound, int64_t* out) {
  int64_t found = 0, number = 0;
  for (int64_t begin = 0, end; begin <= text.size; begin = end + 1, ++number) {
    end = next(text.at + begin, text.at + text.size, C('\n')) - text.at;
    int64_t count = 0;
    for (int64_t i = begin; i < end; ++i) count += text.is(i, flag);
    if (end > begin && static_cast<double>(count) / static_cast<double>(end - begin) > bound) out[found++] = number;
  }
  return found;
}

static inline uint32_t small(uint32_t c) { return c >= 'A' && c <= 'Z' ? c | 32 : c; }

// Whether a text holds a word, ASCII letters in lower case, digits, spaces and hyphens, whatever the case of its own
// letters. The first and the last character are looked for in many places together.
template <typename C>
static bool mentions(const Text<C>& text, const char* word, int64_t size) {
  using W = Wide<C>;
  const C first = word[0], last = word[size - 1], upper = 'A' ^ 'a';
  const C first_case = first >= 'a' ? upper : 0, last_case = last >= 'a' ? upper : 0;
  const int64_t places = text.size - size + 1;
  auto holds = [&](int64_t i) {
    int64_t k = 0;
    while (k < size && small(text.at[i + k]) == static_cast<uint32_t>(word[k])) ++k;
    return k == size;
  };
  int64_t i = 0;
  for (; i + W::SIZE <= places; i += W::SIZE) {
    auto begins = (W::load(text.at + i) | first_case) == first, ends = (W::load(text.at + i + size - 1) | last_case) == last;
    if (W::any(begins & ends))
      for (int64_t k = i; k < i + W::SIZE; ++k)
        if (holds(k)) return true;
  }
  for (; i < places; ++i)
    if (holds(i)) return true;
  return false;
}

// Whether a text holds letters beyond ASCII that a pattern without case takes for ASCII ones.
static bool folds(const Text<uint8_t>&) { return false; }
static bool folds(const Text<uint32_t>& text) {
  using W = Wide<uint32_t>;
  int64_t i = 0;
  for (; i + W::SIZE <= text.size; i += W::SIZE) {
    auto c = W::load(text.at + i);
    if (W::any(((c | 1) == 0x131) | (c == 0x17F) | (c == 0x212A))) return true;
  }
  for (; i < text.size; ++i) {
    uint32_t c = text.at[i];
    if ((c | 1) == 0x131 || c == 0x17F || c == 0x212A) return true;
  }
  return false;
}

// Either, for words that end in a zero each, the last in two.
template <typename C>
static bool mentions(const Text<C>& text, const char* words) {
  for (int64_t size; (size = std::strlen(words)); words += size + 1)
    if (mentions(text, words, size)) return true;
  return folds(text);
}

template <typename C>
static int64_t cut(const Text<C>& text, int64_t* ends) {
  int64_t n = 0;
  for (int64_t i = 0; i < text.size;) ends[n++] = i = text.segment(i);
  return n;
}

#define DOORS(SUFFIX, C)                                                                                        \
  extern "C" int64_t text_segments_##SUFFIX(const C* at, int64_t n, const uint16_t* table, int64_t* ends) {      \
    return cut(Text<C>{at, n, table}, ends);                                                                     \
  }                                                                                                              \
  extern "C" void text_counts_##SUFFIX(const C* at, int64_t n, const uint16_t* table, int64_t* out) {            \
    count(Text<C>{at, n, table}, out);                                                                           \
  }                                                                                                              \
  extern "C" int64_t text_mentions_##SUFFIX(const C* at, int64_t n, const uint16_t* table, const char* words) {  \
    return mentions(Text<C>{at, n, table}, words);                                                               \
  }                                                                                                              \
  extern "C" int64_t text_lines_over_##SUFFIX(const C* at, int64_t n, const uint16_t* table, int32_t flag,       \
                                              double bound, int64_t* out) {                                      \
    return lines_over(Text<C>{at, n, table}, static_cast<uint16_t>(flag), bound, out);                           \
  }                                                                                                              \
  extern "C" void text_lines_##SUFFIX(const C* at, int64_t n, const uint16_t* table, double* out) {              \
    lines(Text<C>{at, n, table}, out);                                                                           \
  }                                                                                                              \
  extern "C" void text_repetition_##SUFFIX(const C* at, int64_t n, const uint16_t* table, int64_t* out) {        \
    Text<C> text{at, n, table};                                                                                  \
    repeated_pieces(text, segments(text, 1), out);                                                               \
    repeated_pieces(text, segments(text, 2), out + 4);                                                           \
    repeated_grams(text, out + 8);                                                                               \
  }
DOORS(8, uint8_t)
DOORS(32, uint32_t)
