// Marks the functions that the CPU and the CUDA kernels share.
#pragma once

#if defined(__CUDACC__)
#define MTP_RT_HOST_DEVICE __host__ __device__
#else
#define MTP_RT_HOST_DEVICE
#endif
