// One source for the CPU and the GPU: functions marked so compile for both under nvcc.
#pragma once

#ifdef __CUDACC__
#define PORESCOPE_HOST_DEVICE __host__ __device__
#else
#define PORESCOPE_HOST_DEVICE
#endif
