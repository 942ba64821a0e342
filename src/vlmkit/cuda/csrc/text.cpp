// What curation measures on a text, in few passes: words and lines, repetition, and which lines a rule might take.
// Doors come twice: _8 for ASCII texts, _32 for texts of code points. All results are exact integers; the caller divides.
#include "text.h"

#include <algorithm>
#include <cmath>

struct Piece {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Numbers for keys, in the order in which they come: an open hash table.
struct Numbers {
  struct Slot {
    uint64_t hash;
    int64_t number;
  };
  std::vector<Slot> slots;
  uint64_t mask;
  int64_t count = 0;

  explicit Numbers(int64_t most) {
    uint64_t size = 16;
    while (size < 2 * static_cast<uint64_t>(most)) size *= 2;
    slots.assign(size, {0, -1});
    mask = size - 1;
  }
  template <typename Same>  // same(number): whether the key that has it is this one
  int64_t of(uint64_t hash, Same same) {
    for (uint64_t at = hash & mask;; at = (at + 1) & mask) {
      if (slots[at].number < 0) {
        slots[at] = {hash, count};
        return count++;
      }
      if (slots[at].hash == hash && same(slots[at].number)) return slots[at].number;
    }
  }
};

template <typename C>
static bool same(const C* at, Piece a, Piece b) {
  return a.size() == b.size() && std::memcmp(at + a.begin, at + b.begin, a.size() * sizeof(C)) == 0;
}

// A hash of a piece, from eight bytes at a time; of long ones in four lanes, so that no step waits for the one before.
template <typename C>
static uint64_t hashed(const C* at, Piece piece) {
  const char* from = reinterpret_cast<const char*>(at + piece.begin);
  int64_t left = piece.size() * static_cast<int64_t>(sizeof(C));
  uint64_t lanes[4] = {WORD_SEED, 1, 2, 3}, x;
  auto take = [&](uint64_t& h, uint64_t value) { h = (h ^ value) * WORD_FACTOR, h ^= h >> 32; };
  for (; left >= 32; from += 32, left -= 32)
    for (int lane = 0; lane < 4; ++lane) std::memcpy(&x, from + 8 * lane, 8), take(lanes[lane], x);
  for (; left >= 8; from += 8, left -= 8) std::memcpy(&x, from, 8), take(lanes[0], x);
  for (x = piece.size(); left > 0; --left) x = x << 8 | static_cast<uint8_t>(from[left - 1]);
  take(lanes[0], x);
  for (int lane = 1; lane < 4; ++lane) take(lanes[0], lanes[lane]);
  return mixed(lanes[0]);
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
  Numbers numbers(pieces.size());
  std::vector<int64_t> first, times;
  for (const Piece& piece : pieces) {
    int64_t n = numbers.of(hashed(text.at, piece), [&](int64_t other) { return same(text.at, piece, pieces[first[other]]); });
    if (n == static_cast<int64_t>(first.size())) first.push_back(&piece - pieces.data()), times.push_back(0);
    ++times[n];
  }
  out[0] = out[1] = out[3] = 0;
  out[2] = pieces.size();
  for (size_t n = 0; n < first.size(); ++n) {
    int64_t chars = pieces[first[n]].size() * times[n];
    out[3] += chars;
    if (times[n] > 1) out[0] += times[n], out[1] += chars;
  }
}

// For n = 1 to 10: the most that an n-gram occurring `times` > 1 times takes (characters of the longest such times
// `times`, of those that occur most), and the characters of words that lie in n-grams occurring more than once: out
// (10, 2); 0 where no n-gram occurs twice. Then the characters of all words: out[20].
template <typename C>
static void repeated_grams(const Text<C>& text, int64_t* out) {
  std::vector<Piece> words;
  for (int64_t i = 0, end; i < text.size; i = end) {
    end = text.segment(i);
    if (text.is(i, ALNUM)) words.push_back({i, end});
  }
  int64_t W = words.size();
  std::fill(out, out + 21, 0);
  std::vector<int64_t> before(W + 1, 0), gram(W), first, times;
  for (int64_t i = 0; i < W; ++i) before[i + 1] = before[i] + words[i].size();
  out[20] = before[W];
  Numbers numbers(W);
  std::vector<int64_t> word(W);
  for (int64_t i = 0; i < W; ++i) {
    word[i] = numbers.of(hashed(text.at, words[i]), [&](int64_t other) { return same(text.at, words[i], words[first[other]]); });
    if (word[i] == static_cast<int64_t>(first.size())) first.push_back(i), times.push_back(0);
    ++times[word[i]];
  }
  gram = word;
  std::vector<int64_t> live(W);  // where n-grams begin that occur more than once
  int64_t L = 0;
  for (int64_t n = 1; n <= 10; ++n) {
    if (n > 1) {  // an n-gram is the pair of its first n-1 words' number and its last word; both must repeat
      std::vector<int64_t> starts;
      for (int64_t k = 0; k + 1 < L; ++k)
        if (live[k + 1] == live[k] + 1 && live[k] + n <= W) starts.push_back(live[k]);
      Numbers pairs(starts.size());
      first.clear();
      times.clear();
      std::vector<int64_t> made(starts.size());
      for (size_t k = 0; k < starts.size(); ++k) {
        int64_t i = starts[k];
        uint64_t hash = mixed(static_cast<uint64_t>(gram[i]) * 0x9E3779B97F4A7C15ull + static_cast<uint64_t>(word[i + n - 1]));
        made[k] = pairs.of(hash, [&](int64_t other) {
          return gram[first[other]] == gram[i] && word[first[other] + n - 1] == word[i + n - 1];
        });
        if (made[k] == static_cast<int64_t>(first.size())) first.push_back(i), times.push_back(0);
        ++times[made[k]];
      }
      L = 0;
      for (size_t k = 0; k < starts.size(); ++k) {
        gram[starts[k]] = made[k];
        if (times[made[k]] > 1) live[L++] = starts[k];
      }
    } else {
      for (int64_t i = 0; i < W; ++i)
        if (times[gram[i]] > 1) live[L++] = i;
    }
    if (!L) return;
    int64_t most = *std::max_element(times.begin(), times.end()), longest = 0;
    for (size_t g = 0; g < first.size(); ++g)
      if (times[g] == most) longest = std::max(longest, before[first[g] + n] - before[first[g]]);
    out[2 * (n - 1)] = longest * most;
    int64_t covered = 0, end = 0;
    for (int64_t k = 0; k < L; ++k) {
      int64_t from = std::max(live[k], end);
      end = live[k] + n;
      covered += before[end] - before[from];
    }
    out[2 * n - 1] = covered;
  }
}

static constexpr uint32_t letters(const char* word) {  // of a word of up to four, the first in the lowest byte
  uint32_t key = 0;
  for (int i = 0; word[i]; ++i) key |= static_cast<uint32_t>(word[i]) << 8 * i;
  return key;
}
static constexpr uint32_t STOP_WORDS[] = {letters("the"), letters("be"),   letters("to"),   letters("of"),
                                          letters("and"), letters("that"), letters("have"), letters("with")};

template <typename C>
static int stop_word(const Text<C>& text, Piece word) {
  if (word.size() < 2 || word.size() > 4) return -1;
  uint32_t key = 0;
  for (int64_t i = 0; i < word.size(); ++i) {
    uint32_t c = text.at[word.begin + i] | 32;
    if (c < 'a' || c > 'z') return -1;
    key |= c << 8 * i;
  }
  for (int w = 0; w < 8; ++w)
    if (key == STOP_WORDS[w]) return w;
  return -1;
}

template <typename C>
static bool dots(const Text<C>& text, int64_t i, int64_t end, int64_t step) {  // "..." or ". . ." at i
  return i + 2 * step < end && text.at[i] == '.' && text.at[i + step] == '.' && text.at[i + 2 * step] == '.' &&
         (step == 1 || (text.at[i + 1] == ' ' && text.at[i + 3] == ' '));
}

// Ellipses of dots, "..." (step 1) or ". . ." (step 2), that overlap no other of their kind.
template <typename C>
static int64_t ellipses(const Text<C>& text, int64_t step) {
  const C *end = text.at + text.size, dot = '.';
  int64_t found = 0;
  for (const C* at = next(text.at, end, dot); at < end; at = next(at, end, dot)) {
    bool here = dots(text, at - text.at, text.size, step);
    found += here;
    at += here ? 2 * step + 1 : 1;
  }
  return found;
}

static inline bool gap(uint32_t c) { return c == ' ' || (c >= 9 && c <= 13) || c == 0; }  // between words of fastText

// out (10,), in the order of Counts in text.py.
template <typename C>
static void count(const Text<C>& text, int64_t* out) {
  std::fill(out, out + 10, 0);
  uint32_t kinds = 0;
  int64_t symbols = 0, fasttext = 0;
  for (Piece word{0, 0}; word.begin < text.size; word.begin = word.end) {
    uint16_t entry = text.entry(word.begin), all = 0;
    word.end = word.begin + 1;
    if (entry & SPACE) continue;
    fasttext += (entry & ALNUM) && (word.begin == 0 || gap(text.at[word.begin - 1]));
    bool nul = false;
    for (word.end = word.begin; word.end < text.size; ++word.end) {
      uint32_t c = text.at[word.end];
      entry = text.table[c];
      if (entry & SPACE) break;
      all |= entry;
      symbols += c == '#' || c == 0x2026;
      nul |= c == 0;
    }
    for (int64_t i = word.begin + 1; nul && i < word.end; ++i) fasttext += text.at[i - 1] == 0 && text.is(i, ALNUM);
    ++out[0];
    out[1] += word.size();
    out[2] += !(all & ALPHA);
    int stop = stop_word(text, word);
    if (stop >= 0) ++out[3], kinds |= 1u << stop;
  }
  out[5] = symbols;
  out[9] = fasttext;
  out[4] = __builtin_popcount(kinds);
  out[5] += ellipses(text, 1) + ellipses(text, 2);
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
