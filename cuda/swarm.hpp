// Histories side by side in lanes: whenever one ends, its lane takes the next that waits, so that
// no lane idles.
#pragma once

#include <array>
#include <cstdint>

#include "lane_words.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

// What waits for a lane: things whose fields each_field() visits.
template <typename Lane, typename Fields, int capacity>
class Queue {
  public:
    bool empty() const { return begin_ == end_; }
    bool full() const { return end_ + LaneTraits<Lane>::width > capacity; }

    // Those in lanes of the mask. The queue must not be full.
    void append(Fields fields, Mask<Lane> mask) {
        std::uint32_t* to = values_.data() + end_;
        fields.each_field([&](const auto& field) {
            store_packed(to, mask, word_of(field));
            to += capacity;
        });
        end_ += __builtin_popcount(bits(mask));
    }

    // One into each lane of the mask, as far as there are some; returns those lanes.
    Mask<Lane> take(Fields& fields, Mask<Lane> mask) {
        std::uint32_t lanes = bits(mask);
        while (__builtin_popcount(lanes) > end_ - begin_)
            lanes &= ~(1u << (31 - __builtin_clz(lanes)));
        const Mask<Lane> filled = mask_of(lanes);
        const std::uint32_t* from = values_.data() + begin_;
        fields.each_field([&](auto& field) {
            auto word = word_of(field);
            refill(word, filled, from);
            set_word(field, word);
            from += capacity;
        });
        begin_ += __builtin_popcount(lanes);
        if (empty()) begin_ = end_ = 0;
        return filled;
    }

  private:
    static constexpr int most_fields = 32;
    // Lanes read beyond the last.
    std::array<std::uint32_t, capacity * most_fields + LaneTraits<Lane>::width> values_{};
    std::int32_t begin_ = 0, end_ = 0;
};

// Move all that waits, and that `supply()` has put there when nothing did, until each has come to
// its end. `move(fields, alive)` returns Ends; `ended(fields, over, ends)` hears of each once.
template <typename Lane, typename Fields, int capacity, typename Supply, typename Move,
          typename Ended>
void follow(Queue<Lane, Fields, capacity>& waiting, const Supply& supply, const Move& move,
            const Ended& ended) {
    struct Company {
        Fields fields{};
        Mask<Lane> alive = mask_of(0);
    };
    const Mask<Lane> all = Lane(0.0f) == Lane(0.0f);
    const auto fill = [&](Company& company) {
        for (;;) {
            const Mask<Lane> idle = without(all, company.alive);
            if (!any(idle)) return;
            if (waiting.empty()) supply();
            if (waiting.empty()) return;
            company.alive = company.alive | waiting.take(company.fields, idle);
        }
    };
    // Two in turns: while one waits for its look-ups the processor goes on with the other.
    std::array<Company, 2> companies;
    for (Company& company : companies) fill(company);
    while (any(companies[0].alive) || any(companies[1].alive))
        for (Company& company : companies) {
            const auto ends = move(company.fields, company.alive);
            const Mask<Lane> over = company.alive & ends.over;
            if (!any(over)) continue;
            ended(company.fields, over, ends);
            company.alive = without(company.alive, over);
            fill(company);
        }
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
