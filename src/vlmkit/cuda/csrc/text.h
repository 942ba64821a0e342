// Texts as arrays of code points (bytes for ASCII, 32-bit words otherwise), and their words.
//
// What a character is comes from a table that Python makes of its own answers (characters.py), so that compiled code
// cuts texts where the interpreter at hand does. Words are those of Unicode Standard Annex 29.
#pragma once
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

enum Class : uint16_t {  // the lowest five bits of an entry: CLASSES of characters.py
  OTHER, CR, LF, NEWLINE, EXTEND, FORMAT, ZWJ, REGIONAL, WSEGSPACE, ALETTER, HEBREW, KATAKANA, NUMERIC, EXTENDNUMLET,
  MIDLETTER, MIDNUMLET, MIDNUM, SINGLE_QUOTE, DOUBLE_QUOTE,
};
static constexpr uint16_t CLASS = 31, SPACE = 32, ALNUM = 64, ALPHA = 128, UPPER = 256, DIGIT = 512, PICTOGRAPH = 1024;

static constexpr uint32_t set_of(std::initializer_list<Class> some) {
  uint32_t set = 0;
  for (Class one : some) set |= 1u << one;
  return set;
}
static constexpr uint32_t IN_WORDS = set_of({ALETTER, HEBREW, KATAKANA, NUMERIC, EXTENDNUMLET});
static constexpr uint32_t ENDS_LETTERS = set_of({OTHER, CR, LF, NEWLINE, WSEGSPACE, REGIONAL, MIDNUM, DOUBLE_QUOTE});

static constexpr uint64_t WORD_SEED = 0x9E3779B97F4A7C15ull, WORD_FACTOR = 0x9FB21C651E98DF25ull;  // ngrams.py

static inline uint64_t mixed(uint64_t x) {  // the finaliser of splitmix64
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// Some characters side by side, by the vectors of GCC and Clang.
typedef uint8_t Bytes __attribute__((vector_size(32)));

template <typename C>
struct Wide {  // as many as are compared together, and eight
  typedef C V __attribute__((vector_size(32)));
  typedef C Eight __attribute__((vector_size(8 * sizeof(C))));
  static constexpr int64_t SIZE = 32 / sizeof(C);

  static V load(const C* from) { return read<V>(from); }
  static Eight eight(const C* from) { return read<Eight>(from); }

  template <typename To, typename From>
  static To read(const From* from) {
    To some;
    std::memcpy(&some, from, sizeof some);
    return some;
  }
  template <typename Mask>
  static bool any(Mask mask) {
    uint64_t parts[4];
    std::memcpy(parts, &mask, sizeof parts);
    return parts[0] | parts[1] | parts[2] | parts[3];
  }
  template <typename Some>  // the lowest byte of each of eight, the first one's in the lowest
  static uint64_t bytes(Some some) {
    if (sizeof(C) == 1) return read<uint64_t>(&some);
    Bytes all = read<Bytes>(&some);
#ifdef __clang__
    auto low = __builtin_shufflevector(all, all, 0, 4, 8, 12, 16, 20, 24, 28);
#else
    Bytes low = __builtin_shuffle(all, Bytes{0, 4, 8, 12, 16, 20, 24, 28});
#endif
    return read<uint64_t>(&low);
  }
};

template <typename C>
struct Text {
  const C* at;
  int64_t size;
  const uint16_t* table;

  uint16_t entry(int64_t i) const { return table[at[i]]; }
  Class kind(int64_t i) const { return i < size ? static_cast<Class>(entry(i) & CLASS) : OTHER; }
  bool is(int64_t i, uint16_t flag) const { return entry(i) & flag; }

  // How many of the eight characters from i on are ASCII letters up to the first that is none; 0 close to the end.
  int64_t ascii_letters(int64_t i) const {
    if (i + 8 > size) return 0;
    auto some = Wide<C>::eight(at + i);
    uint64_t others = Wide<C>::bytes((some | 32) - 'a' >= 26);
    return others ? __builtin_ctzll(others) / 8 : 8;
  }

  // Up to seven characters from i on as a number that tells them, a byte each, the first in the lowest, and their count
  // in the highest; 0 where one does not fit into a byte.
  uint64_t packed(int64_t i, int64_t count) const {
    uint64_t chars = 0, beyond = 0, kept = (1ull << 8 * count) - 1;
    if (i + 8 <= size) {
      auto some = Wide<C>::eight(at + i);
      chars = Wide<C>::bytes(some);
      if constexpr (sizeof(C) > 1) beyond = Wide<C>::bytes(some > 255);
    } else {
      for (int64_t k = count; k--;) chars = chars << 8 | (at[i + k] & 255), beyond |= at[i + k] > 255;
    }
    return beyond & kept ? 0 : (chars & kept) | static_cast<uint64_t>(count) << 56;
  }

  bool extends(int64_t i) const {
    Class k = kind(i);
    return k == EXTEND || k == FORMAT || k == ZWJ;
  }
  int64_t skip(int64_t i) const {  // behind Extend, Format and ZWJ (WB4)
    while (i < size && extends(i)) ++i;
    return i;
  }
  bool letter(int64_t i) const { return i < size && (kind(i) == ALETTER || kind(i) == HEBREW); }
  bool hebrew_before(int64_t i) const {
    for (--i; i >= 0 && extends(i); --i) {}
    return i >= 0 && kind(i) == HEBREW;
  }

  int64_t letters(int64_t i) const {  // WB5 to WB7, WB7a to WB7c; i where there are none
    if (!letter(i)) return i;
    for (i = skip(i + 1); i < size;) {
      int64_t next = i;
      Class k = kind(i);
      if (k == MIDLETTER || k == MIDNUMLET || k == SINGLE_QUOTE) {
        next = skip(i + 1);
        if (!letter(next)) return i;
      } else if (k == DOUBLE_QUOTE && hebrew_before(i)) {
        next = skip(i + 1);
        if (kind(next) != HEBREW) return i;
      } else if (!letter(i)) {
        return i;
      }
      i = skip(next + 1);
    }
    return i;
  }
  int64_t numbers(int64_t i) const {  // WB8, WB11, WB12
    if (kind(i) != NUMERIC) return i;
    for (i = skip(i + 1); i < size;) {
      int64_t next = i;
      Class k = kind(i);
      if (k == MIDNUM || k == MIDNUMLET || k == SINGLE_QUOTE) {
        next = skip(i + 1);
        if (kind(next) != NUMERIC) return i;
      } else if (k != NUMERIC) {
        return i;
      }
      i = skip(next + 1);
    }
    return i;
  }
  int64_t core(int64_t i) const {  // letters and numbers, WB9 and WB10, or Katakana, WB13
    int64_t begin = i;
    for (int64_t before = -1; i != before;) {
      before = i;
      i = letters(i);
      i = numbers(i);
    }
    if (i != begin) return i;
    while (kind(i) == KATAKANA) i = skip(i + 1);
    return i;
  }
  int64_t joiners(int64_t i) const {
    while (kind(i) == EXTENDNUMLET) i = skip(i + 1);
    return i;
  }
  int64_t word(int64_t i) const {  // with its joiners, WB13a and WB13b; i where there is none
    int64_t first = joiners(i), end = core(first);
    if (end == first) return first;
    for (int64_t next; (next = joiners(end)) != end;) {
      int64_t more = core(next);
      if (more == next) return next;
      end = more;
    }
    return kind(end) == SINGLE_QUOTE && hebrew_before(end) ? skip(end + 1) : end;
  }
  int64_t segment(int64_t i) const {  // the end of the segment that begins at i < size
    // Most words are letters alone and end in front of what continues none; between them is one space.
    int64_t end = i + ascii_letters(i);
    if (end > i) {
      while (kind(end) == ALETTER) ++end;
      if (ENDS_LETTERS >> kind(end) & 1) return end;
    }
    Class first = kind(i);
    if (first == WSEGSPACE && IN_WORDS >> kind(i + 1) & 1) return i + 1;
    end = IN_WORDS >> first & 1 ? word(i) : other(i);
    while (end < size && kind(end - 1) == ZWJ && is(end, PICTOGRAPH)) {  // WB3c
      int64_t next = word(end);
      end = next == end ? skip(end + 1) : next;
    }
    return end;
  }
  int64_t other(int64_t i) const {
    switch (kind(i)) {
      case CR: return i + 1 + (kind(i + 1) == LF);  // WB3
      case LF: case NEWLINE: return i + 1;
      case WSEGSPACE:
        while (kind(i) == WSEGSPACE) ++i;  // WB3d
        return skip(i);
      case REGIONAL: {  // WB15, WB16
        int64_t next = skip(i + 1);
        return kind(next) == REGIONAL ? skip(next + 1) : next;
      }
      default: return skip(i + 1);
    }
  }
};
