#include "engines/tensorrt/plans_record.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "io/json_fields.h"
#include "io/mapped_file.h"
#include "mtp_rt/error.h"

namespace mtp_rt::tensorrt {
namespace {

using io::Json;
using io::JsonFields;

constexpr std::int64_t kFormatVersion = 1;
constexpr std::size_t kMaxRecord = 16U << 20;
constexpr std::size_t kMaxPlans = 1024;
constexpr std::size_t kMaxProfiles = 16;
constexpr std::int64_t kMaxSize = 1 << 20;    // of a batch, a width or a cache
constexpr std::int64_t kMaxPlan = 1LL << 40;  // bytes
constexpr std::size_t kSha256Digits = 64;
constexpr const char* kRemedy = "; run `mtp-rt export --tensorrt`";

std::int32_t size_of(const JsonFields& fields, const char* key, std::int64_t most = kMaxSize) {
  return static_cast<std::int32_t>(fields.integer(key, 1, most));
}

std::string digest(const JsonFields& fields, const char* key) {
  std::string text = fields.string(key);
  if (text.size() != kSha256Digits || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    fields.fail(key, "is \"" + io::printable(text) + "\"; expected 64 hexadecimal digits");
  }
  return text;
}

/// "10.15.1.29": numbers with dots between them.
std::string dotted(const JsonFields& fields, const char* key) {
  std::string text = fields.string(key);
  const bool strange = text.find_first_not_of("0123456789.") != std::string::npos;
  if (text.empty() || strange || text.front() == '.' || text.back() == '.' ||
      text.find("..") != std::string::npos) {
    fields.fail(key, "is \"" + io::printable(text) + "\"; expected numbers with dots between them");
  }
  return text;
}

/// The objects in the list `key`: at least one.
const Json& objects(const JsonFields& fields, const char* key, std::size_t most) {
  const Json& list = fields.get(key);
  const bool fits = list.is_array() && !list.empty() && list.size() <= most;
  if (!fits || !std::ranges::all_of(list, [](const Json& entry) { return entry.is_object(); })) {
    fields.fail(
        key, "is " + io::describe(list) + "; expected a list of 1 .. " + std::to_string(most) + " objects");
  }
  return list;
}

std::string entry_name(const JsonFields& fields, const char* key, std::size_t index) {
  return fields.full_name(key) + "[" + std::to_string(index) + "]";
}

SizeRange read_range(const JsonFields& fields, const char* key, std::int32_t limit) {
  const Json& list = fields.get(key);
  std::array<std::int32_t, 3> sizes{};
  bool fits = list.is_array() && list.size() == sizes.size();
  for (std::size_t i = 0; fits && i < sizes.size(); ++i) {
    const auto size = io::as_integer(list[i], i == 0 ? 1 : sizes[i - 1], limit);
    fits = size.has_value();
    if (fits) sizes[i] = static_cast<std::int32_t>(*size);
  }
  if (!fits) {
    fields.fail(key, "is " + io::printable(list.dump()) + "; expected three sizes in 1 .. " +
                         std::to_string(limit) + ", none less than the one before");
  }
  return {sizes[0], sizes[1], sizes[2]};
}

std::vector<Profile> read_profiles(const JsonFields& plan, const PlansRecord& record) {
  std::vector<Profile> profiles;
  for (const Json& entry : objects(plan, "profiles", kMaxProfiles)) {
    const JsonFields fields(entry, plan.file(), entry_name(plan, "profiles", profiles.size()));
    fields.allow_only({"batch", "width", "rows"});
    const std::int32_t widest = std::max(record.step_width, record.prompt_width);
    profiles.push_back({read_range(fields, "batch", record.batch), read_range(fields, "width", widest),
                        read_range(fields, "rows", widest)});
  }
  return profiles;
}

bool is_graph(std::string_view name) {
  if (name == "verify" || name == "draft") return true;
  if (!name.starts_with("draft_")) return false;
  name.remove_prefix(std::string_view("draft_").size());
  return !name.empty() && name.size() <= 2 && name.front() != '0' &&
         name.find_first_not_of("0123456789") == std::string_view::npos;
}

Plan read_plan(const JsonFields& fields, const PlansRecord& record, std::int32_t longest) {
  fields.allow_only({"file", "graph", "context", "capacity", "bytes", "sha256", "graph_sha256", "profiles",
                     "operators", "fallbacks"});
  Plan plan;
  plan.graph = fields.string("graph");
  if (!is_graph(plan.graph)) {
    fields.fail("graph", "is \"" + io::printable(plan.graph) + "\"; expected verify, draft or draft_N");
  }
  const bool has_context = fields.find("context") != nullptr;
  if (has_context || plan.graph == "verify") {
    plan.context = size_of(fields, "context", longest);
    plan.capacity = static_cast<std::int32_t>(
        fields.integer("capacity", std::int64_t{plan.context} + record.step_width, kMaxSize * 2));
  } else if (fields.find("capacity") != nullptr) {
    fields.fail("capacity", "is set, but there is no context; remove it");
  }
  plan.file = fields.string("file");
  // Names are ours: nothing else, no path above all.
  const std::string name = plan.graph + (has_context ? "." + std::to_string(plan.context) : "") + ".engine";
  if (plan.file != name) {
    fields.fail("file", "is \"" + io::printable(plan.file) + "\"; expected " + name);
  }
  plan.bytes = static_cast<std::size_t>(fields.integer("bytes", 1, kMaxPlan));
  plan.sha256 = digest(fields, "sha256");
  plan.profiles = read_profiles(fields, record);
  return plan;
}

std::optional<BuiltFor> read_gpu(const JsonFields& fields) {
  if (fields.find("gpu") == nullptr) return std::nullopt;
  const JsonFields gpu = fields.object("gpu");
  gpu.allow_only({"name", "compute_capability"});
  return BuiltFor{io::printable(gpu.string("name")), dotted(gpu, "compute_capability")};
}

void check_file(const std::filesystem::path& folder, const Plan& plan) {
  const std::filesystem::path path = folder / plan.file;
  std::error_code problem;
  if (!std::filesystem::is_regular_file(path, problem)) {
    throw ModelFormatError(plan.file, "", std::string("is missing or not a regular file") + kRemedy);
  }
  const std::uintmax_t size = std::filesystem::file_size(path, problem);
  if (problem || size != plan.bytes) {
    throw ModelFormatError(plan.file, "",
                           "has " + (problem ? std::string("an unknown number of") : std::to_string(size)) +
                               " bytes, and " + kPlansRecord + " says " + std::to_string(plan.bytes) +
                               kRemedy);
  }
}

void read_head(const JsonFields& fields, PlansRecord& record) {
  fields.allow_only({"format_version", "library", "version", "gpu", "weights_sha256", "batch", "step_width",
                     "prompt_width", "plans"});
  const Json& format = fields.get("format_version");
  if (!io::as_integer(format, kFormatVersion, kFormatVersion)) {
    fields.fail("format_version", "is " + io::describe(format) + "; this version of mtp-rt reads " +
                                      std::to_string(kFormatVersion) + kRemedy);
  }
  record.library = fields.string("library");
  if (record.library != "tensorrt" && record.library != "tensorrt_rtx") {
    fields.fail("library", "is \"" + io::printable(record.library) + "\"; expected tensorrt or tensorrt_rtx");
  }
  record.version = dotted(fields, "version");
  record.gpu = read_gpu(fields);
  record.weights_sha256 = digest(fields, "weights_sha256");
  record.batch = size_of(fields, "batch");
  record.step_width = size_of(fields, "step_width");
  record.prompt_width = size_of(fields, "prompt_width");
}

}  // namespace

PlansRecord read_plans_record(const ModelDir& model) {
  const std::filesystem::path path = model.path() / kPlansRecord;
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) {
    throw ModelFormatError(kPlansRecord, "",
                           std::string("is missing: the directory has no TensorRT plans") + kRemedy);
  }
  const Json json = io::parse_json_object(io::read_text(path, kPlansRecord, kMaxRecord), kPlansRecord, "");
  const JsonFields fields(json, kPlansRecord, "");
  PlansRecord record;
  read_head(fields, record);
  std::set<std::string> files;
  for (const Json& entry : objects(fields, "plans", kMaxPlans)) {
    const JsonFields plan_fields(entry, kPlansRecord, entry_name(fields, "plans", record.plans.size()));
    Plan plan = read_plan(plan_fields, record, model.config().context);
    if (!files.insert(plan.file).second) plan_fields.fail("file", "is \"" + plan.file + "\" a second time");
    check_file(model.path(), plan);
    record.plans.push_back(std::move(plan));
  }
  if (std::ranges::find(record.plans, "verify", &Plan::graph) == record.plans.end()) {
    fields.fail("plans", "has no plan of the graph verify");
  }
  return record;
}

void check_library(const PlansRecord& record, std::string_view library, std::string_view version) {
  if (record.library == library && record.version == version) return;
  throw UnsupportedError("engine 'tensorrt': the plans were built by " + record.library + " " +
                         record.version + ", and the library here is " + std::string(library) + " " +
                         std::string(version) + kRemedy + " with the library that will run them");
}

void check_gpu(const PlansRecord& record, std::string_view compute_capability) {
  if (!record.gpu || record.gpu->compute_capability == compute_capability) return;
  throw UnsupportedError("engine 'tensorrt': the plans were built for " + record.gpu->name +
                         " (compute capability " + record.gpu->compute_capability + "), and this GPU has " +
                         std::string(compute_capability) + kRemedy + " on this machine");
}

const Plan& plan_for(const PlansRecord& record, std::string_view graph, std::int32_t context) {
  const Plan* best = nullptr;
  std::string contexts;
  for (const Plan& plan : record.plans) {
    if (plan.graph != graph) continue;
    if (plan.context == 0) return plan;
    contexts += (contexts.empty() ? "" : ", ") + std::to_string(plan.context);
    if (plan.context >= context && (best == nullptr || plan.context < best->context)) best = &plan;
  }
  if (best != nullptr) return *best;
  throw UnsupportedError("engine 'tensorrt': " +
                         (contexts.empty() ? "there is no plan of the graph " + std::string(graph)
                                           : "context is " + std::to_string(context) + ", and the plans of " +
                                                 std::string(graph) + " are for " + contexts) +
                         kRemedy + " with --tensorrt-contexts");
}

std::optional<std::int32_t> profile_for(const Plan& plan, std::int32_t batch, std::int32_t width,
                                        std::int32_t rows) {
  const auto found = std::ranges::find_if(plan.profiles, [&](const Profile& profile) {
    return profile.batch.holds(batch) && profile.width.holds(width) && profile.rows.holds(rows);
  });
  if (found == plan.profiles.end()) return std::nullopt;
  return static_cast<std::int32_t>(found - plan.profiles.begin());
}

}  // namespace mtp_rt::tensorrt
