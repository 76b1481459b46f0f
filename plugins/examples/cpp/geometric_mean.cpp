// geometric_mean: the normalised geometric mean of the evidence of the available modalities; nothing is fitted.
//
//   c++ -std=c++17 -O2 -shared -fPIC -fvisibility=hidden -I crates/fuseline-abi/include -o geometric_mean.so geometric_mean.cpp
//
// Everything that can throw runs inside `guarded`, which turns an exception into an error of the ABI.
#include "fuseline_fusion.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

FSL_TAG("org.example.geometric_mean")

struct fsl_model {
  std::uint32_t modalities, classes;
};

namespace {

const char descriptor[] = R"({
  "id": "org.example.geometric_mean", "name": "geometric mean", "version": "1.0.0", "licence": "MIT OR Apache-2.0",
  "summary": "The normalised geometric mean of the available evidence.",
  "params": {"type": "object", "properties": {
    "floor": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1e-9, "description": "least probability"}}},
  "limits": {"modalities": 64, "classes": 1000},
  "capabilities": {"uses_quality": false, "row_independent": true, "accepts_missing": true, "accepts_embeddings": false}
})";

constexpr char magic[] = "GEOMEAN1";

struct ModelBytes {
  char name[8];
  std::uint32_t modalities, classes;
  double floor;
  std::uint64_t check;
};

std::uint64_t checksum(const ModelBytes &bytes) {  // FNV-1a of all but itself
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto *at = reinterpret_cast<const unsigned char *>(&bytes);
  for (std::size_t i = 0; i < offsetof(ModelBytes, check); i++) hash = (hash ^ at[i]) * 0x100000001b3u;
  return hash;
}

struct Model : fsl_model {
  double floor;
};

struct Failure : std::runtime_error {
  std::int32_t code;
  const char *param;
  Failure(std::int32_t code_, const char *message, const char *param_ = "")
      : std::runtime_error(message), code(code_), param(param_) {}
};

// No exception crosses the border.
template <typename Body>
std::int32_t guarded(fsl_error *err, Body body) noexcept {
  try {
    body();
    return FSL_OK;
  } catch (const Failure &failure) {
    return fsl_fail(err, failure.code, -1, failure.param, failure.what());
  } catch (const std::bad_alloc &) {
    return fsl_fail(err, FSL_ERR_OUT_OF_MEMORY, -1, "", "out of memory");
  } catch (const std::exception &exception) {
    return fsl_fail(err, FSL_ERR_INTERNAL, -1, "", exception.what());
  } catch (...) {
    return fsl_fail(err, FSL_ERR_INTERNAL, -1, "", "an exception without words");
  }
}

std::int32_t fit(const fsl_batch *batch, const fsl_params *params, std::uint64_t, const fsl_sink *sink, fsl_error *err) {
  return guarded(err, [&] {
    ModelBytes bytes{};
    std::memcpy(bytes.name, magic, sizeof bytes.name);
    bytes.modalities = batch->modalities;
    bytes.classes = batch->classes;
    if (params->get_f64(params, fsl_str("floor"), &bytes.floor) != FSL_OK) throw Failure(FSL_ERR_PARAM, "a number is expected", "floor");
    bytes.check = checksum(bytes);
    const auto code = sink->write(sink, reinterpret_cast<const std::uint8_t *>(&bytes), sizeof bytes);
    if (code != FSL_OK) throw Failure(code, "the host did not take the model");
  });
}

std::int32_t open_model(const std::uint8_t *bytes, std::uint64_t len, fsl_model **model, fsl_error *err) {
  return guarded(err, [&] {
    ModelBytes read;
    if (len != sizeof read) throw Failure(FSL_ERR_DATA, "these bytes are not a model of this rule");
    std::memcpy(&read, bytes, sizeof read);
    if (std::memcmp(read.name, magic, sizeof read.name) != 0 || read.check != checksum(read))
      throw Failure(FSL_ERR_DATA, "the model is damaged");
    auto opened = std::make_unique<Model>();
    opened->modalities = read.modalities;
    opened->classes = read.classes;
    opened->floor = read.floor;
    *model = opened.release();
  });
}

void close_model(fsl_model *model) { delete static_cast<Model *>(model); }

std::int32_t predict(const fsl_model *opened, const fsl_batch *batch, double *out, fsl_error *err) {
  return guarded(err, [&] {
    const auto &model = *static_cast<const Model *>(opened);
    if (model.modalities != batch->modalities || model.classes != batch->classes)
      throw Failure(FSL_ERR_DATA, "the model was fitted with other modalities or classes");
    const double *evidence = fsl_evidence(batch);
    const std::uint8_t *available = fsl_available(batch);
    const std::size_t modalities = batch->modalities, classes = batch->classes;
    std::vector<double> logs(classes);
    for (std::size_t row = 0; row < batch->rows; row++) {
      std::fill(logs.begin(), logs.end(), 0.0);
      double count = 0;
      for (std::size_t m = 0; m < modalities; m++) {
        const std::size_t cell = row * modalities + m;
        if (!available[cell]) continue;
        count++;
        for (std::size_t k = 0; k < classes; k++) {
          const double probability = evidence[cell * classes + k];
          if (!std::isfinite(probability)) throw Failure(FSL_ERR_DATA, "the evidence is not finite");
          logs[k] += std::log(std::max(probability, model.floor));
        }
      }
      double total = 0;
      for (auto &value : logs) total += value = std::exp(count > 0 ? value / count : 0.0);
      for (std::size_t k = 0; k < classes; k++) out[row * classes + k] = logs[k] / total;
    }
  });
}

}  // namespace

std::int32_t fuseline_fusion_init(std::uint32_t host_abi, const fsl_host *, fsl_fusion_plugin *out, fsl_error *err) {
  fsl_fusion_plugin table{};
  table.struct_size = sizeof table;
  table.descriptor = fsl_str(descriptor);
  table.fit = fit;
  table.open = open_model;
  table.close = close_model;
  table.predict = predict;
  return fsl_publish(host_abi, &table, out, err);
}
