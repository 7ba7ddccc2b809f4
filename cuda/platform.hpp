// One source for the CPU and the GPU: functions marked so compile for both under nvcc.
#pragma once

#ifdef __CUDACC__
#define PORESCOPE_HOST_DEVICE __host__ __device__
#else
#define PORESCOPE_HOST_DEVICE
#endif

// Seldom called: kept out of the loops that call it. And the opposite.
#if defined(__GNUC__)
#define PORESCOPE_COLD __attribute__((noinline, cold))
#define PORESCOPE_INLINE __attribute__((always_inline)) inline
#else
#define PORESCOPE_COLD
#define PORESCOPE_INLINE inline
#endif

// Headers that are compiled once for each instruction set keep their functions in a namespace of
// that name: the linker must not take one built for AVX-512 where another processor calls it.
#ifndef PORESCOPE_INSTRUCTION_SET
#define PORESCOPE_INSTRUCTION_SET plain
#endif
