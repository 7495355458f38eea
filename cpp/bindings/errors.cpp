#include "mtp_rt/error.h"

#include <nanobind/nanobind.h>

#include <exception>
#include <string>

#include "bindings.h"

namespace nb = nanobind;

namespace mtp_rt::bindings {
namespace {

void raise(nb::handle errors, const char* name, const char* message) {
  PyErr_SetString(errors.attr(name).ptr(), message);
}

void raise(nb::handle errors, const ModelFormatError& error) {
  const std::string message = error.what();
  const std::size_t prefix = error.file().size() + 2 + (error.field().empty() ? 0 : error.field().size() + 2);
  const nb::object type = errors.attr("ModelFormatError");
  const auto text = [](const std::string& s) {
    return nb::steal<nb::str>(PyUnicode_DecodeUTF8(s.data(), static_cast<Py_ssize_t>(s.size()), "replace"));
  };
  const nb::object instance = type(text(error.file()), text(error.field()), text(message.substr(prefix)));
  PyErr_SetObject(type.ptr(), instance.ptr());
}

/// Turns the library's exceptions into the classes of mtp_rt.errors; others pass on to nanobind.
void translate(const std::exception_ptr& thrown, void* errors_module) {
  const nb::handle errors(static_cast<PyObject*>(errors_module));
  try {
    std::rethrow_exception(thrown);
  } catch (const ModelFormatError& error) {
    raise(errors, error);
  } catch (const UnsupportedError& error) {
    raise(errors, "UnsupportedError", error.what());
  } catch (const CapacityError& error) {
    raise(errors, "CapacityError", error.what());
  } catch (const EngineError& error) {
    raise(errors, "EngineError", error.what());
  } catch (const ArgumentError& error) {
    raise(errors, "ArgumentError", error.what());
  } catch (const Error& error) {
    raise(errors, "Error", error.what());
  }
}

}  // namespace

void bind_errors(nb::module_& module) {
  // The classes live in Python, so that light modules can raise them without loading native code.
  nb::object errors = nb::module_::import_("mtp_rt.errors");
  for (const char* const name :
       {"Error", "ModelFormatError", "UnsupportedError", "CapacityError", "EngineError", "ArgumentError"}) {
    module.attr(name) = errors.attr(name);
  }
  nb::register_exception_translator(translate, errors.release().ptr());  // lives as long as the process
}

}  // namespace mtp_rt::bindings
