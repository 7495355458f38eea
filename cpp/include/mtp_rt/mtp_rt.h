// Everything, in reading order.
#pragma once

// clang-format off: not in alphabetical order
#include "mtp_rt/token.h"
#include "mtp_rt/error.h"
#include "mtp_rt/model_config.h"
#include "mtp_rt/model_dir.h"
#include "mtp_rt/engine.h"
#include "mtp_rt/sampling.h"
#include "mtp_rt/acceptance.h"
#include "mtp_rt/drafting.h"
#include "mtp_rt/sequence.h"
#include "mtp_rt/device_loop.h"
#include "mtp_rt/decoder.h"
#include "mtp_rt/cost_curve.h"
#include "mtp_rt/scheduler.h"
// clang-format on
