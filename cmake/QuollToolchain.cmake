# SPDX-License-Identifier: Apache-2.0
# Compiler, linker and warning settings that every target shares.

find_program(QUOLL_CCACHE ccache)
if(QUOLL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Without the sloppiness ccache never hits on a file that uses a precompiled
  # header; without the base directory never in another build directory.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_BASEDIR=${CMAKE_BINARY_DIR} ${QUOLL_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

find_program(QUOLL_MOLD mold)
if(QUOLL_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# -g1 keeps line numbers in back-traces at a third of the size and link time.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
# -pthread everywhere, as some libraries ask for it and a precompiled header
# must be compiled like the files that use it.
add_compile_options(-fstack-protector-strong -fno-plt -pthread)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options(-fpch-preprocess)  # ccache's manual, on GCC
endif()
add_compile_definitions(_FILE_OFFSET_BITS=64)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(QUOLL_WARNINGS -Wall -Wextra
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:Clang>>:-Wthread-safety>)
if(QUOLL_WERROR)
  list(APPEND QUOLL_WARNINGS -Werror)
endif()

if(QUOLL_SANITIZE)
  string(REPLACE ";" "," quoll_sanitizers "${QUOLL_SANITIZE}")
  add_compile_options(-fsanitize=${quoll_sanitizers} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${quoll_sanitizers})
endif()
