// Marks the functions that the CPU and the CUDA kernels share.
//
// MTP_RT_HOST_DEVICE: called on both. MTP_RT_DEVICE: parts of kernels, which the tests run on the host as
// well.
#pragma once

#if defined(__CUDACC__)
#define MTP_RT_HOST_DEVICE __host__ __device__
#define MTP_RT_DEVICE __device__
#else
#define MTP_RT_HOST_DEVICE
#define MTP_RT_DEVICE
#endif
