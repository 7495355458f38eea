// The library's errors become the Python exceptions of mtp_rt/errors.py.
#include "mtp_rt/error.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <exception>
#include <string>

#include "bindings.h"

namespace nb = nanobind;

namespace mtp_rt::bindings {
namespace {

/// The Python classes; they live as long as the process.
struct ErrorClasses {
  nb::handle error;
  nb::handle model_format;
  nb::handle unsupported;
  nb::handle capacity;
  nb::handle engine;
  nb::handle argument;
};

/// What the message says after "<file>: <field>: ".
std::string problem_of(const ModelFormatError& error) {
  const std::size_t field = error.field().empty() ? 0 : error.field().size() + 2;
  return std::string(error.what()).substr(error.file().size() + 2 + field);
}

void translate(const std::exception_ptr& pointer, void* payload) {
  const auto& classes = *static_cast<const ErrorClasses*>(payload);
  try {
    std::rethrow_exception(pointer);
  } catch (const ModelFormatError& error) {
    const nb::object raised = classes.model_format(error.file(), error.field(), problem_of(error));
    PyErr_SetObject(classes.model_format.ptr(), raised.ptr());
  } catch (const UnsupportedError& error) {
    PyErr_SetString(classes.unsupported.ptr(), error.what());
  } catch (const CapacityError& error) {
    PyErr_SetString(classes.capacity.ptr(), error.what());
  } catch (const EngineError& error) {
    PyErr_SetString(classes.engine.ptr(), error.what());
  } catch (const ArgumentError& error) {
    PyErr_SetString(classes.argument.ptr(), error.what());
  } catch (const Error& error) {
    PyErr_SetString(classes.error.ptr(), error.what());
  }
}

}  // namespace

void bind_errors(nb::module_& module) {
  static ErrorClasses classes;
  const nb::module_ errors = nb::module_::import_("mtp_rt.errors");
  const auto take = [&](const char* name) {
    const nb::object found = errors.attr(name);
    module.attr(name) = found;  // the module keeps it alive
    return nb::handle(found);
  };
  classes = {take("Error"),         take("ModelFormatError"), take("UnsupportedError"),
             take("CapacityError"), take("EngineError"),      take("ArgumentError")};
  nb::register_exception_translator(translate, &classes);
}

}  // namespace mtp_rt::bindings
