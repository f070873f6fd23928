// SPDX-License-Identifier: Apache-2.0
#include "image/image_service.h"
#include "image/layer_store.h"
