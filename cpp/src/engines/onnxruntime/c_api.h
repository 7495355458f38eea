// The slice of ONNX Runtime's C interface that the engine calls.
//
// The library hands out a table of functions that only ever grows at its end: a place keeps its meaning in
// every later version. Names and places are those of onnxruntime_c_api.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mtp_rt::onnxruntime {

// What the library owns; we hold pointers.
struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtIoBinding;
struct OrtMemoryInfo;
struct OrtAllocator;
struct OrtValue;
struct OrtTypeInfo;
struct OrtTensorInfo;   // OrtTensorTypeAndShapeInfo
struct OrtCudaOptions;  // OrtCUDAProviderOptionsV2

/// ONNXTensorElementDataType.
enum class ElementType : int { undefined = 0, f32 = 1, i64 = 7, boolean = 9 };

enum OrtErrorCode : int { kNotImplemented = 9 };
enum OrtLoggingLevel : int { kLogFatal = 4 };
enum OrtAllocatorType : int { kDeviceAllocator = 0 };
enum OrtMemoryType : int { kDefaultMemory = 0 };
/// OrtMemoryInfoDeviceType.
enum OrtDeviceType : int { kCpu = 0 };

template <std::size_t kCount>
using Uncalled = std::array<void (*)(), kCount>;

/// OrtApi up to its last function that is called. A status of null is success.
struct OrtApi {
  Uncalled<1> from_0;
  OrtErrorCode (*GetErrorCode)(const OrtStatus*);
  const char* (*GetErrorMessage)(const OrtStatus*);
  OrtStatus* (*CreateEnv)(OrtLoggingLevel, const char* log_name, OrtEnv**);
  Uncalled<4> from_4;
  OrtStatus* (*CreateSessionFromArray)(const OrtEnv*, const void*, std::size_t bytes,
                                       const OrtSessionOptions*, OrtSession**);
  Uncalled<1> from_9;
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);
  Uncalled<13> from_11;
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int);
  OrtStatus* (*SetInterOpNumThreads)(OrtSessionOptions*, int);
  Uncalled<4> from_26;
  OrtStatus* (*SessionGetInputCount)(const OrtSession*, std::size_t*);
  OrtStatus* (*SessionGetOutputCount)(const OrtSession*, std::size_t*);
  Uncalled<1> from_32;
  OrtStatus* (*SessionGetInputTypeInfo)(const OrtSession*, std::size_t index, OrtTypeInfo**);
  OrtStatus* (*SessionGetOutputTypeInfo)(const OrtSession*, std::size_t index, OrtTypeInfo**);
  Uncalled<1> from_35;
  OrtStatus* (*SessionGetInputName)(const OrtSession*, std::size_t index, OrtAllocator*, char**);
  OrtStatus* (*SessionGetOutputName)(const OrtSession*, std::size_t index, OrtAllocator*, char**);
  Uncalled<10> from_38;
  OrtStatus* (*CreateTensorAsOrtValue)(OrtAllocator*, const std::int64_t* shape, std::size_t dimensions,
                                       ElementType, OrtValue**);
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void*, std::size_t bytes,
                                               const std::int64_t* shape, std::size_t dimensions, ElementType,
                                               OrtValue**);
  Uncalled<1> from_50;
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);
  Uncalled<3> from_52;
  OrtStatus* (*CastTypeInfoToTensorInfo)(const OrtTypeInfo*, const OrtTensorInfo**);
  Uncalled<4> from_56;
  OrtStatus* (*GetTensorElementType)(const OrtTensorInfo*, ElementType*);
  OrtStatus* (*GetDimensionsCount)(const OrtTensorInfo*, std::size_t*);
  OrtStatus* (*GetDimensions)(const OrtTensorInfo*, std::int64_t*, std::size_t dimensions);
  Uncalled<5> from_63;
  OrtStatus* (*CreateMemoryInfo)(const char* name, OrtAllocatorType, int device, OrtMemoryType,
                                 OrtMemoryInfo**);
  OrtStatus* (*CreateCpuMemoryInfo)(OrtAllocatorType, OrtMemoryType, OrtMemoryInfo**);
  Uncalled<6> from_70;
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);
  Uncalled<1> from_77;
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);
  Uncalled<13> from_79;
  void (*ReleaseEnv)(OrtEnv*);
  void (*ReleaseStatus)(OrtStatus*);
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);
  void (*ReleaseSession)(OrtSession*);
  void (*ReleaseValue)(OrtValue*);
  Uncalled<1> from_97;
  void (*ReleaseTypeInfo)(OrtTypeInfo*);
  Uncalled<1> from_99;
  void (*ReleaseSessionOptions)(OrtSessionOptions*);
  Uncalled<24> from_101;
  OrtStatus* (*GetAvailableProviders)(char***, int* count);
  OrtStatus* (*ReleaseAvailableProviders)(char**, int count);
  Uncalled<3> from_127;
  OrtStatus* (*AddSessionConfigEntry)(OrtSessionOptions*, const char* key, const char* value);
  OrtStatus* (*CreateAllocator)(const OrtSession*, const OrtMemoryInfo*, OrtAllocator**);
  void (*ReleaseAllocator)(OrtAllocator*);
  OrtStatus* (*RunWithBinding)(OrtSession*, const OrtRunOptions*, const OrtIoBinding*);
  OrtStatus* (*CreateIoBinding)(OrtSession*, OrtIoBinding**);
  void (*ReleaseIoBinding)(OrtIoBinding*);
  OrtStatus* (*BindInput)(OrtIoBinding*, const char* name, const OrtValue*);
  OrtStatus* (*BindOutput)(OrtIoBinding*, const char* name, const OrtValue*);
  Uncalled<64> from_138;
  OrtStatus* (*SynchronizeBoundInputs)(OrtIoBinding*);
  Uncalled<1> from_203;
  OrtStatus* (*SessionOptionsAppendExecutionProvider_CUDA_V2)(OrtSessionOptions*, const OrtCudaOptions*);
  OrtStatus* (*CreateCUDAProviderOptions)(OrtCudaOptions**);
  OrtStatus* (*UpdateCUDAProviderOptions)(OrtCudaOptions*, const char* const* keys, const char* const* values,
                                          std::size_t count);
  Uncalled<1> from_207;
  void (*ReleaseCUDAProviderOptions)(OrtCudaOptions*);
  Uncalled<1> from_209;
  OrtStatus* (*AddExternalInitializers)(OrtSessionOptions*, const char* const* names, const OrtValue* const*,
                                        std::size_t count);
  Uncalled<14> from_211;
  void (*MemoryInfoGetDeviceType)(const OrtMemoryInfo*, OrtDeviceType*);
  Uncalled<154> from_226;
  OrtStatus* (*SessionGetMemoryInfoForInputs)(const OrtSession*, const OrtMemoryInfo**, std::size_t count);
};

/// What the library exports, as OrtGetApiBase().
struct OrtApiBase {
  const OrtApi* (*GetApi)(std::uint32_t version);  // null: the library is older
  const char* (*GetVersionString)();
};

/// The place of a member of OrtApi, in functions.
consteval std::size_t place(std::size_t offset) { return offset / sizeof(void (*)()); }

static_assert(place(offsetof(OrtApi, CreateEnv)) == 3);
static_assert(place(offsetof(OrtApi, CreateSessionFromArray)) == 8);
static_assert(place(offsetof(OrtApi, CreateSessionOptions)) == 10);
static_assert(place(offsetof(OrtApi, SetIntraOpNumThreads)) == 24);
static_assert(place(offsetof(OrtApi, SessionGetInputCount)) == 30);
static_assert(place(offsetof(OrtApi, SessionGetInputTypeInfo)) == 33);
static_assert(place(offsetof(OrtApi, SessionGetInputName)) == 36);
static_assert(place(offsetof(OrtApi, CreateTensorAsOrtValue)) == 48);
static_assert(place(offsetof(OrtApi, CreateTensorWithDataAsOrtValue)) == 49);
static_assert(place(offsetof(OrtApi, GetTensorMutableData)) == 51);
static_assert(place(offsetof(OrtApi, CastTypeInfoToTensorInfo)) == 55);
static_assert(place(offsetof(OrtApi, GetTensorElementType)) == 60);
static_assert(place(offsetof(OrtApi, CreateMemoryInfo)) == 68);
static_assert(place(offsetof(OrtApi, CreateCpuMemoryInfo)) == 69);
static_assert(place(offsetof(OrtApi, AllocatorFree)) == 76);
static_assert(place(offsetof(OrtApi, GetAllocatorWithDefaultOptions)) == 78);
static_assert(place(offsetof(OrtApi, ReleaseEnv)) == 92);
static_assert(place(offsetof(OrtApi, ReleaseTypeInfo)) == 98);
static_assert(place(offsetof(OrtApi, ReleaseSessionOptions)) == 100);
static_assert(place(offsetof(OrtApi, GetAvailableProviders)) == 125);
static_assert(place(offsetof(OrtApi, AddSessionConfigEntry)) == 130);
static_assert(place(offsetof(OrtApi, CreateAllocator)) == 131);
static_assert(place(offsetof(OrtApi, RunWithBinding)) == 133);
static_assert(place(offsetof(OrtApi, BindOutput)) == 137);
static_assert(place(offsetof(OrtApi, SynchronizeBoundInputs)) == 202);
static_assert(place(offsetof(OrtApi, SessionOptionsAppendExecutionProvider_CUDA_V2)) == 204);
static_assert(place(offsetof(OrtApi, UpdateCUDAProviderOptions)) == 206);
static_assert(place(offsetof(OrtApi, ReleaseCUDAProviderOptions)) == 208);
static_assert(place(offsetof(OrtApi, AddExternalInitializers)) == 210);
static_assert(place(offsetof(OrtApi, MemoryInfoGetDeviceType)) == 225);
static_assert(place(offsetof(OrtApi, SessionGetMemoryInfoForInputs)) == 380);

}  // namespace mtp_rt::onnxruntime
