# SPDX-License-Identifier: Apache-2.0
# Headers that most files of a kind include, compiled once: they are half of what
# a file that speaks gRPC costs. A file must include what it uses all the same;
# QUOLL_PCH is off in one of CI's two builds. PROGRAM: for files of programs.
function(quoll_precompile kind)
  if(NOT QUOLL_PCH)
    return()
  endif()
  cmake_parse_arguments(A "PROGRAM" "" "DEPS;HEADERS;OPTIONS" ${ARGN})
  set(source ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc)
  if(A_PROGRAM)  # compiled with -fPIE as programs are; GCC wants the same
    file(CONFIGURE OUTPUT ${source} CONTENT "int main() {}\n")
    add_executable(quoll_precompiled_${kind} ${source})
  else()
    file(CONFIGURE OUTPUT ${source} CONTENT "")
    add_library(quoll_precompiled_${kind} OBJECT ${source})
  endif()
  target_link_libraries(quoll_precompiled_${kind} PRIVATE ${A_DEPS})
  target_compile_options(quoll_precompiled_${kind} PRIVATE ${QUOLL_WARNINGS}
    ${A_OPTIONS})
  target_precompile_headers(quoll_precompiled_${kind} PRIVATE ${A_HEADERS})
endfunction()

function(quoll_use_precompiled target kind)
  if(TARGET quoll_precompiled_${kind})
    target_precompile_headers(${target} REUSE_FROM quoll_precompiled_${kind})
  endif()
endfunction()

set(plain <algorithm> <functional> <map> <memory> <optional> <set> <string>
  <utility> <vector> <absl/container/flat_hash_map.h>
  <absl/status/statusor.h> <absl/strings/str_cat.h>
  <absl/synchronization/mutex.h> <absl/time/time.h>)
set(plain_deps absl::flat_hash_map absl::status absl::statusor absl::strings
  absl::synchronization absl::time)
quoll_precompile(common HEADERS ${plain} <spdlog/spdlog.h>
  DEPS ${plain_deps} spdlog::spdlog)
quoll_precompile(rpc HEADERS ${plain} <spdlog/spdlog.h> <grpcpp/grpcpp.h>
    <proto/runtime/v1/api.grpc.pb.h>
  DEPS ${plain_deps} spdlog::spdlog quoll::proto_grpc)
if(QUOLL_TESTS)
  quoll_precompile(test PROGRAM HEADERS ${plain} <gmock/gmock.h>
    <gtest/gtest.h> DEPS ${plain_deps} GTest::gmock OPTIONS -O0)
endif()
