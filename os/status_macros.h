// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function when `expr` is not OK.
#define QUOLL_RETURN_IF_ERROR(expr)                                 \
  do {                                                              \
    if (absl::Status quoll_status_ = (expr); !quoll_status_.ok()) { \
      return quoll_status_;                                         \
    }                                                               \
  } while (false)

#define QUOLL_STATUS_CONCAT_INNER_(a, b) a##b
#define QUOLL_STATUS_CONCAT_(a, b) QUOLL_STATUS_CONCAT_INNER_(a, b)
#define QUOLL_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr); /* NOLINT */                    \
  if (!tmp.ok()) {   /* NOLINT */                    \
    return std::move(tmp).status();                  \
  }                                                  \
  lhs = *std::move(tmp) /* NOLINT */

// Declares or assigns `lhs` from a StatusOr, or returns its error. A type with
// a comma in it has to be named first: the macro splits at commas.
#define QUOLL_ASSIGN_OR_RETURN(lhs, expr) \
  QUOLL_ASSIGN_OR_RETURN_IMPL_(           \
      QUOLL_STATUS_CONCAT_(quoll_statusor_, __LINE__), lhs, expr)
