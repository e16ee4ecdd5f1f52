"""The page, for `streamlit run app.py`; `spotscan app` starts the same."""

from spotscan.page import main

main()
