# SPDX-License-Identifier: Apache-2.0

# quoll_library(NAME os SRCS a.cc DEPS absl::status [PRECOMPILED rpc]): a
# library; without SRCS one of headers only.
function(quoll_library)
  cmake_parse_arguments(A "" "NAME;PRECOMPILED" "SRCS;DEPS" ${ARGN})
  if(A_SRCS)
    add_library(quoll_${A_NAME} STATIC ${A_SRCS})
    target_include_directories(quoll_${A_NAME} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(quoll_${A_NAME} PUBLIC ${A_DEPS})
    target_compile_options(quoll_${A_NAME} PRIVATE ${QUOLL_WARNINGS})
    if(A_PRECOMPILED)
      quoll_use_precompiled(quoll_${A_NAME} ${A_PRECOMPILED})
    endif()
  else()
    add_library(quoll_${A_NAME} INTERFACE)
    target_include_directories(quoll_${A_NAME} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(quoll_${A_NAME} INTERFACE ${A_DEPS})
  endif()
  add_library(quoll::${A_NAME} ALIAS quoll_${A_NAME})
endfunction()

# quoll_program(NAME quolld SRCS main.cc DEPS quoll::cri): an executable, put
# into ${CMAKE_BINARY_DIR}/bin so that the programs find each other there as
# they do when installed.
function(quoll_program)
  cmake_parse_arguments(A "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${A_NAME} ${A_SRCS})
  target_include_directories(${A_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${A_NAME} PRIVATE ${A_DEPS})
  target_compile_options(${A_NAME} PRIVATE ${QUOLL_WARNINGS})
  set_target_properties(${A_NAME} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# quoll_test(NAME os/files_test DEPS quoll::os [ROOT] [PROGRAMS quoll-helper]):
# the test of that source file. ROOT tests carry the label "root": tests/run
# runs them as root, so a skip is a failure there. PROGRAMS are built before and
# found in the directory that QUOLL_BIN_DIR names.
function(quoll_test)
  if(NOT QUOLL_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "ROOT" "NAME" "DEPS;PROGRAMS" ${ARGN})
  string(REPLACE "/" "_" target ${A_NAME})
  add_executable(${target} ${PROJECT_SOURCE_DIR}/${A_NAME}.cc)
  target_link_libraries(${target} PRIVATE ${A_DEPS} GTest::gmock_main)
  # Tests are compiled often and run shortly.
  target_compile_options(${target} PRIVATE ${QUOLL_WARNINGS} -O0)
  quoll_use_precompiled(${target} test)
  if(A_PROGRAMS)
    add_dependencies(${target} ${A_PROGRAMS})
  endif()
  add_test(NAME ${A_NAME} COMMAND ${target})
  set_tests_properties(${A_NAME} PROPERTIES TIMEOUT 120
    ENVIRONMENT "QUOLL_BIN_DIR=${CMAKE_BINARY_DIR}/bin")
  if(A_ROOT)
    set_tests_properties(${A_NAME} PROPERTIES LABELS root)
  endif()
endfunction()

# Checks the arrows between folders, once as a test and once on every build:
# a forbidden include stops the build.
function(quoll_check_layering)
  find_program(QUOLL_PYTHON NAMES python3 REQUIRED)
  set(check ${QUOLL_PYTHON} ${PROJECT_SOURCE_DIR}/cmake/check_layering.py)
  add_custom_target(quoll_layering ALL
    COMMAND ${check} ${PROJECT_SOURCE_DIR} COMMENT "Checking include arrows")
  add_test(NAME layering COMMAND ${check} ${PROJECT_SOURCE_DIR})
  add_test(NAME layering_self_test COMMAND ${check} --self-test)
endfunction()
