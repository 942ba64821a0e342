// Hashes of the n-grams of a text's words, and MinHash signatures of sets of them. Doors come twice: _8 for ASCII texts,
// _32 for texts of code points; a word has the same hash in both.
#include "text.h"

#include <algorithm>

template <typename C>
static uint64_t word_hash(const C* at, int64_t begin, int64_t end) {
  uint64_t h = WORD_SEED;
  for (int64_t i = begin; i < end; ++i) h = (h ^ at[i]) * WORD_FACTOR, h ^= h >> 32;
  return mixed(h);
}

// The n-grams of words (n hashes, n = least(size, count)), each a sum over its places of mixed products.
static int64_t grams(const std::vector<uint64_t>& words, const uint64_t* places, int64_t size, uint64_t* out) {
  int64_t count = static_cast<int64_t>(words.size()) - size + 1;
  for (int64_t i = 0; i < count; ++i) out[i] = 0;
  for (int64_t place = 0; place < size; ++place)
    for (int64_t i = 0; i < count; ++i) out[i] += mixed(words[i + place] * places[place] + place);
  for (int64_t i = 0; i < count; ++i) out[i] = mixed(out[i]);
  return std::max<int64_t>(count, 0);
}

// Distinct hashes of n-grams of runs of letters, digits and _, sorted; a shorter text is one shorter n-gram.
template <typename C>
static int64_t shingles(const Text<C>& text, const uint64_t* places, int64_t size, uint64_t* out) {
  auto inside = [&](int64_t i) { return text.is(i, ALNUM) || text.at[i] == '_'; };
  std::vector<uint64_t> words;
  for (int64_t i = 0; i < text.size;) {
    int64_t begin = i;
    while (i < text.size && inside(i)) ++i;
    if (i > begin) words.push_back(word_hash(text.at, begin, i));
    else ++i;
  }
  size = std::min<int64_t>(size, words.size());
  if (!size) return 0;
  int64_t count = grams(words, places, size, out);
  std::sort(out, out + count);
  return std::unique(out, out + count) - out;
}

// Segments of UAX 29 that are not white space: body(begin, end).
template <typename C, typename Body>
static void tokens(const Text<C>& text, Body body) {
  for (int64_t i = 0, end; i < text.size; i = end) {
    end = text.segment(i);
    int64_t j = i;
    while (j < end && text.is(j, SPACE)) ++j;
    if (j < end) body(i, end);
  }
}

// Paragraphs of a text, each but the first with the line feed before it: body(number, paragraph).
template <typename C, typename Body>
static void paragraphs(const Text<C>& text, Body body) {
  int64_t number = 0;
  for (int64_t begin = 0, end; begin < text.size || number == 0; begin = end) {
    for (end = begin + 1; end < text.size && text.at[end] != '\n'; ++end) {}
    body(number++, Text<C>{text.at + begin, std::min(end, text.size) - begin, text.table});
  }
}

template <typename C>
static int64_t count(const Text<C>& text, int64_t size) {
  int64_t found = 0;
  paragraphs(text, [&](int64_t, const Text<C>& one) {
    int64_t words = 0;
    tokens(one, [&](int64_t, int64_t) { ++words; });
    found += std::max<int64_t>(0, words - size + 1);
  });
  return found;
}

struct Bloom {  // bloom.py: Filter; `inverse` is 2^64 - 1 over the bits
  uint8_t* bytes;
  uint64_t bits, inverse;
  int64_t hashes;
  std::vector<uint64_t> places;

  Bloom(uint8_t* bytes, uint64_t bits, int64_t hashes)
      : bytes(bytes), bits(bits), inverse(~0ull / bits), hashes(hashes), places(BLOCK * hashes) {}

  static constexpr int64_t BLOCK = 64;  // entries whose bytes are asked for before the first is looked at

  uint64_t within(uint64_t x) const {  // x % bits: the quotient by the inverse is at most one too small
    uint64_t left = x - static_cast<uint64_t>(static_cast<unsigned __int128>(x) * inverse >> 64) * bits;
    return left < bits ? left : left - bits;
  }
  void find(const uint64_t* entries, int64_t n) {  // the places of at most BLOCK entries
    for (int64_t i = 0; i < n; ++i) {
      uint64_t entry = entries[i], step = mixed(entry ^ 0x9E3779B97F4A7C15ull) | 1;
      for (int64_t k = 0; k < hashes; ++k, entry += step) {
        uint64_t place = places[i * hashes + k] = within(entry);
        __builtin_prefetch(bytes + (place >> 3), 1);
      }
    }
  }
  int64_t known(const uint64_t* entries, int64_t count) {  // how many of the entries it holds
    int64_t found = 0;
    for (int64_t begin = 0; begin < count; begin += BLOCK) {
      int64_t n = std::min(BLOCK, count - begin);
      find(entries + begin, n);
      for (int64_t i = 0; i < n; ++i) {
        uint8_t all = 1;
        for (int64_t k = 0; k < hashes; ++k) {
          uint64_t place = places[i * hashes + k];
          all &= bytes[place >> 3] >> (place & 7);
        }
        found += all;
      }
    }
    return found;
  }
  void add(const uint64_t* entries, int64_t count) {
    for (int64_t begin = 0; begin < count; begin += BLOCK) {
      int64_t n = std::min(BLOCK, count - begin);
      if (count > BLOCK) find(entries + begin, n);
      for (int64_t j = 0; j < n * hashes; ++j) bytes[places[j] >> 3] |= static_cast<uint8_t>(1u << (places[j] & 7));
    }
  }
};

// old-both on one page: which paragraphs go, gone (paragraphs,); all n-grams and those known before, totals (2,).
template <typename C>
static void old_both(const Text<C>& text, const uint64_t* places, int64_t size, double threshold, Bloom bloom,
                     uint8_t* gone, int64_t* totals) {
  std::vector<uint64_t> words, entries;
  totals[0] = totals[1] = 0;
  paragraphs(text, [&](int64_t number, const Text<C>& one) {
    words.clear();
    tokens(one, [&](int64_t begin, int64_t end) { words.push_back(word_hash(one.at, begin, end)); });
    entries.resize(words.size());
    int64_t count = grams(words, places, size, entries.data()), known = bloom.known(entries.data(), count);
    totals[0] += count;
    totals[1] += known;
    gone[number] = count && static_cast<double>(known) / static_cast<double>(count) > threshold;
    if (!gone[number]) bloom.add(entries.data(), count);
  });
}

// The smallest of a x + b mod 2^64 over a set x (n,), its upper half, for each function (a, b): out (functions,).
extern "C" void ngrams_signature(const uint64_t* set, int64_t n, const uint64_t* a, const uint64_t* b, int64_t functions,
                                 uint32_t* out) {
  for (int64_t f = 0; f < functions; ++f) {
    uint64_t least = ~0ull;
    for (int64_t i = 0; i < n; ++i) {
      uint64_t value = a[f] * set[i] + b[f];
      least = value < least ? value : least;
    }
    out[f] = static_cast<uint32_t>(least >> 32);
  }
}

#define DOORS(SUFFIX, C)                                                                                         \
  extern "C" int64_t ngrams_shingles_##SUFFIX(const C* at, int64_t n, const uint16_t* table,                      \
                                              const uint64_t* places, int64_t size, uint64_t* out) {              \
    return shingles(Text<C>{at, n, table}, places, size, out);                                                    \
  }                                                                                                               \
  extern "C" int64_t ngrams_count_##SUFFIX(const C* at, int64_t n, const uint16_t* table, int64_t size) {         \
    return count(Text<C>{at, n, table}, size);                                                                    \
  }                                                                                                               \
  extern "C" void ngrams_old_both_##SUFFIX(const C* at, int64_t n, const uint16_t* table, const uint64_t* places, \
                                           int64_t size, double threshold, uint8_t* bytes, uint64_t bits,         \
                                           int64_t hashes, uint8_t* gone, int64_t* totals) {                      \
    old_both(Text<C>{at, n, table}, places, size, threshold, Bloom(bytes, bits, hashes), gone, totals);           \
  }
DOORS(8, uint8_t)
DOORS(32, uint32_t)
