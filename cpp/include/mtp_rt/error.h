// Every error the library throws on purpose. Each has a Python counterpart of the same name
// (mtp_rt/errors.py).
#pragma once

#include <stdexcept>
#include <string>

namespace mtp_rt {

/// Base of the library's errors. The message says where, what was found and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file of a model directory is missing, damaged or not what its header says.
class ModelFormatError : public Error {
 public:
  /// The message reads "<file>: <field>: <problem>"; `field` may be empty.
  ModelFormatError(std::string file, std::string field, const std::string& problem);
  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] const std::string& field() const noexcept { return field_; }

 private:
  std::string file_;
  std::string field_;
};

/// The request is well formed, but this build, machine or engine cannot do it.
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

/// More rows, slots or positions were asked for than the engine was opened with.
class CapacityError : public Error {
 public:
  using Error::Error;
};

/// An engine failed while computing (a NaN row, a foreign library's error code).
class EngineError : public Error {
 public:
  using Error::Error;
};

/// An argument lies outside its documented range. The message names the argument and the range.
class ArgumentError : public Error {
 public:
  using Error::Error;
};

}  // namespace mtp_rt
