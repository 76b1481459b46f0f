/* A well-behaved mean over the available modalities, with places where a hostile plugin does otherwise. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fuseline_fusion.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef BEFORE_INIT
#define BEFORE_INIT
#endif
#ifndef BEFORE_FIT
#define BEFORE_FIT
#endif
#ifndef BEFORE_OPEN
#define BEFORE_OPEN
#endif
#ifndef BEFORE_PREDICT
#define BEFORE_PREDICT
#endif
#ifndef AFTER_PREDICT
#define AFTER_PREDICT
#endif
#ifndef IN_CLOSE
#define IN_CLOSE
#endif
#ifndef DESCRIPTOR_ID
#define DESCRIPTOR_ID "org.example.hostile"
#endif
#ifndef TAG
#define TAG FSL_TAG("org.example.hostile")
#endif
#ifndef MODEL
#define MODEL "mean"
#endif

struct fsl_model {
  int opened;
};

static struct fsl_model the_model;
static const fsl_host *the_host;

static int32_t fit(const fsl_batch *batch, const fsl_params *params, uint64_t seed, const fsl_sink *sink, fsl_error *err) {
  const char *model = MODEL;
  (void)batch, (void)params, (void)seed, (void)err;
  BEFORE_FIT
  return sink->write(sink, (const uint8_t *)model, strlen(model));
}

static int32_t open_model(const uint8_t *bytes, uint64_t len, fsl_model **model, fsl_error *err) {
  (void)bytes;
  BEFORE_OPEN
#ifndef ANY_MODEL
  if (len != strlen(MODEL) || memcmp(bytes, MODEL, len) != 0) return fsl_fail(err, FSL_ERR_DATA, -1, "", "these bytes are not a model of this rule");
#endif
  (void)len, (void)err;
  *model = &the_model;
  return FSL_OK;
}

static void close_model(fsl_model *model) {
  (void)model;
  IN_CLOSE
}

static int32_t predict(const fsl_model *model, const fsl_batch *batch, double *out, fsl_error *err) {
  const uint64_t modalities = batch->modalities, classes = batch->classes;
  const double *evidence = fsl_evidence(batch);
  const uint8_t *available = fsl_available(batch);
  uint64_t i, m, k;
  (void)model, (void)err;
  BEFORE_PREDICT
  for (i = 0; i < batch->rows; i++) {
    double total = 0;
    for (k = 0; k < classes; k++) out[i * classes + k] = 0;
    for (m = 0; m < modalities; m++) {
      if (!available[i * modalities + m]) continue;
      for (k = 0; k < classes; k++) {
        out[i * classes + k] += evidence[(i * modalities + m) * classes + k];
        total += evidence[(i * modalities + m) * classes + k];
      }
    }
    for (k = 0; k < classes; k++) out[i * classes + k] = total > 0 ? out[i * classes + k] / total : 1.0 / (double)classes;
  }
  AFTER_PREDICT
  return FSL_OK;
}

static const fsl_fusion_plugin table = {
    sizeof(fsl_fusion_plugin),
    0,
    {NULL, 0},
    fit,
    open_model,
    close_model,
    predict,
    NULL,
};

TAG

FSL_EXPORT int32_t fuseline_fusion_init(uint32_t host_abi, const fsl_host *host, fsl_fusion_plugin *out, fsl_error *err) {
  fsl_fusion_plugin filled = table;
  the_host = host;
  (void)the_host;
  BEFORE_INIT
  filled.descriptor = fsl_str(
      "{\"id\":\"" DESCRIPTOR_ID "\",\"name\":\"hostile\",\"version\":\"1.0.0\",\"licence\":\"MIT\",\"summary\":\"misbehaves\","
      "\"params\":{\"type\":\"object\"},\"limits\":{\"modalities\":64,\"classes\":100},"
      "\"capabilities\":{\"uses_quality\":false,\"row_independent\":true,\"accepts_missing\":true,\"accepts_embeddings\":false}}");
  return fsl_publish(host_abi, &filled, out, err);
}
