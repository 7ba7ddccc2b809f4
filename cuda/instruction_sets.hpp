// Which of the builds for several instruction sets a processor can run.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace porescope {

inline bool runs_here(const std::string& instruction_set) {
#ifdef PORESCOPE_VECTORS
    if (instruction_set == "avx512")
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
    if (instruction_set == "avx2") return __builtin_cpu_supports("avx2");
#endif
    return instruction_set == "plain";
}

// What the build for one of them offers.
template <typename Offer>
struct InstructionSet {
    const char* name;
    Offer offer;
};

// Of sets listed from the widest, the one of a name; or if there is no name the first that runs.
template <typename Offer>
const InstructionSet<Offer>& find_set(const std::vector<InstructionSet<Offer>>& sets,
                                      const std::string& name) {
    for (const InstructionSet<Offer>& set : sets)
        if ((name.empty() || name == set.name) && runs_here(set.name)) return set;
    throw std::invalid_argument("This processor does not have the instruction set " + name + ".");
}

}  // namespace porescope
